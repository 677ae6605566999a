"""Films that anyone can tell apart, and a recipe that trains on them in seconds: for tests of training and export."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

HEADER = ("file", "label", "patient_id", "split", "paper_protocol")
Line = tuple[str, str, str, str, str]
COUNTS = {"train": 16, "test": 12, "validation": 12}
RECIPE: dict[str, Any] = {
    "name": "toy",
    "description": "One small convolution, two epochs.",
    "data": {"split_column": "paper_protocol", "operating": {"column": "split", "among": ["validation"]}},
    "network": {"kind": "study_cnn", "filters": [4]},
    "batch_size": 8,
    "epochs": 2,
    "seeds": [1, 2],
    "release": {"intended_use": "tests"},
}


def toy_film(random: np.random.Generator, *, ill: bool) -> np.ndarray:
    """Noise, uint8 (224, 224), with a bright disc in the middle when ill."""
    disc = np.hypot(*np.mgrid[-112:112, -112:112]) < 60
    return (random.integers(0, 100, (224, 224)) + 120 * ill * disc).astype(np.uint8)


def toy_lines() -> list[Line]:
    """Every second film is ill; each patient has two films of one part; `validation` films are in no protocol part."""
    return [
        (
            f"images/{part}-{index}.png",
            ("normal", "pneumonia")[index % 2],
            f"{part}-{index // 2}",
            part,
            "" if part == "validation" else part,
        )
        for part, count in COUNTS.items()
        for index in range(count)
    ]


def write_manifest(folder: Path, lines: Sequence[Line], header: Sequence[str] = HEADER) -> Path:
    with (folder / "manifest.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *lines])
    return folder / "manifest.csv"


def write_toy(folder: Path, **changes: Any) -> tuple[Path, Path]:
    """Films, manifest and recipe into `folder`; returns manifest and recipe. `changes` are fields of the recipe."""
    random = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    for file, label, *_ in toy_lines():
        cv2.imwrite(str(folder / file), toy_film(random, ill=label == "pneumonia"))
    recipe = folder / "toy.yaml"
    recipe.write_text(yaml.safe_dump({**RECIPE, **changes}))
    return write_manifest(folder, toy_lines()), recipe
