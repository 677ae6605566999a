"""Images that anyone can tell apart, and a recipe that trains on them in seconds: for tests of training and export.

The fixtures `toy` and `toy_run` of tests/conftest.py are made of them.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from train.commands.fit import Task, fit_all

HEADER = ("file", "label", "patient_id", "split", "paper_protocol")
Line = tuple[str, str, str, str, str]
COUNTS = {"train": 16, "test": 12, "validation": 12}
RECIPE: dict[str, Any] = {
    "name": "toy",
    "description": "One small convolution, two epochs.",
    "data": {"split_column": "paper_protocol", "operating": {"column": "split", "among": ["validation"]}},
    "network": {"architecture": "study_cnn", "filters": [4]},
    "batch_size": 8,
    "epochs": 2,
    "seeds": [1, 2],
    "release": {"intended_use": "tests"},
}


def toy_image(random: np.random.Generator, *, positive: bool) -> np.ndarray:
    """Return noise, uint8 (224, 224), with a bright disc in the middle when positive."""
    disc = np.hypot(*np.mgrid[-112:112, -112:112]) < 60
    return (random.integers(0, 100, (224, 224)) + 120 * positive * disc).astype(np.uint8)


def toy_lines() -> list[Line]:
    """Return the manifest's lines: every second image is positive, and each patient has two images of one part.

    Images of the part `validation` are in no part of the protocol.
    """
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
    """Write images, manifest and recipe; return the paths of the last two. `changes` are fields of the recipe."""
    random = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    for file, label, *_ in toy_lines():
        cv2.imwrite(str(folder / file), toy_image(random, positive=label == "pneumonia"))
    recipe = folder / "toy.yaml"
    recipe.write_text(yaml.safe_dump({**RECIPE, **changes}))
    return write_manifest(folder, toy_lines()), recipe


def train_toy(folder: Path, out: Path) -> Path:
    """Train two seeds on what `write_toy` wrote into the folder; return the run's folder, `out`."""
    fit_all(Task(recipe=str(folder / "toy.yaml"), manifest=folder / "manifest.csv", images=folder, out=out))
    return out
