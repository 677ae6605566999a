"""A small signed bundle, made without TensorFlow, for every test that needs a classifier.

    bundle, public_key = make_bundle(tmp_path)                    # signed with a fresh key
    classifier = Classifier(load_bundle(bundle, [public_key]), backend="cpu", threads=1)

Its network (tests/device/tiny.tflite, made by tests/make_tiny_network.py) calls a film with a bright middle pneumonia.
`tiny_film(brightness)` makes such films; logits run from -4 (dark) to 1.8 (bright).
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from device.backends.engine import build_engine
from device.bundle import GOLDEN, MODEL, PublicKey
from export.bundle import golden_file, make_key, read_signing_key, signed_parts, write_bundle

TINY = Path(__file__).parent / "device" / "tiny.tflite"
SIZE = 224


def tiny_film(brightness: float) -> np.ndarray:
    """A disc on black, uint8 (224, 224); brightness 0 to 1."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    disc = np.hypot(rows - SIZE / 2, columns - SIZE / 2) < SIZE / 3
    return (disc * round(255 * brightness)).astype(np.uint8)


def tiny_facts(**changes: Any) -> dict[str, Any]:
    """The fields of the tiny network's manifest, some of them changed."""
    spec = build_engine(TINY.read_bytes(), threads=1, backend="cpu").input
    facts = {
        "schema": 1,
        "name": "tiny",
        "version": 1,
        "released": False,
        "created": datetime(2026, 1, 1, tzinfo=UTC),
        "input": {"shape": spec.shape, "dtype": spec.dtype, "scale": spec.scale, "zero_point": spec.zero_point},
        "outputs": {"kind": "logits2"},
        "preprocess_version": 1,
        "quantization": "int8",
        "calibration": {"method": "none"},
        "thresholds": {"flag_at": 0.7, "clear_below": 0.3, "chosen_on": "nothing", "aim": "tests"},
        "ages": {"min_years": 20},
        "golden": {"tolerance_logit": 0.2},
        "minimum_runtime": {"ai-edge-litert": "2.0", "tflite-runtime": "2.14"},
        "metrics": {},
        "intended_use": "tests of PneumoFlag",
        "training": {"recipe": "tiny", "seed": 0, "data_digest": "0" * 64},
    }
    return {**facts, **changes}


def tiny_golden() -> tuple[np.ndarray, np.ndarray]:
    films = np.stack([tiny_film(brightness) for brightness in (0.0, 0.3, 0.6, 1.0)])
    engine = build_engine(TINY.read_bytes(), threads=1, backend="cpu")
    outputs = [engine.run((film.astype(np.int16) - 128).astype(np.int8)[None, ..., None])[0].ravel() for film in films]
    return films, np.array([pair[1] - pair[0] for pair in outputs], np.float32)


def make_bundle(
    folder: Path,
    *,
    name: str = "tiny.bundle",
    key: Path | None = None,
    parts: dict[str, bytes] | None = None,
    **changes: Any,
) -> tuple[Path, PublicKey]:
    """Write a bundle into `folder`; returns it and the public key file's key. `changes` are fields of the manifest."""
    key = key or folder / "test.key"
    if not key.exists():
        make_key(key)
    signing = read_signing_key(key)
    default_parts = {MODEL: TINY.read_bytes(), GOLDEN: golden_file(*tiny_golden()), "model_card.md": b"# Tiny\n"}
    write_bundle(folder / name, signed_parts(tiny_facts(**changes), parts or default_parts, signing))
    return folder / name, PublicKey(raw=signing.public.raw, where=key.with_name(f"{key.name}.pub"))
