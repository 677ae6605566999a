"""A small signed bundle, made without TensorFlow, for every test that needs a classifier.

    bundle, public_key = make_bundle(tmp_path)                    # signed with a fresh key
    classifier = Classifier(load_bundle(bundle, [public_key]), backend="cpu", threads=1)

Its network (tests/support/tiny.tflite, by `make_tiny_network`) classifies an image with a bright middle as pneumonia.
`tiny_image(brightness)` makes such images; logits run from -4 (dark) to 1.8 (bright).

`make_evidence_bundle(tmp_path)` has a network (tests/support/tiny_evidence.tflite) whose logit is the sum of a map,
(7, 7), from -4.9 (dark) to 1.9 (bright disc). Its five features put `bright_image()` beyond the threshold of the
out-of-distribution rule.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from device.bundle.loader import (
    GOLDEN,
    MODEL,
    OUTLIERS,
    PublicKey,
)
from device.bundle.manifest import InputSpec, ModelDescription, OutputSpec
from device.inference.backends.engine import build_engine
from device.inference.tensors import (
    ModelOutput,
    input_tensor,
    level_table,
    read_outputs,
)
from device.preprocess.intensity import IntensityNormalization
from export.bundle.writer import (
    golden_file,
    make_key,
    read_signing_key,
    signed_parts,
    write_bundle,
)

TINY = Path(__file__).with_name("tiny.tflite")
TINY_EVIDENCE = TINY.with_name("tiny_evidence.tflite")
EVIDENCE_OUTPUTS = {"kind": "evidence", "logit": None, "evidence": 1, "bias": 0.0, "features": [0, 2]}
"""The converter has put the map between the two features."""
OUTLIER_THRESHOLD = 4.0
SIZE = 224


def tiny_image(brightness: float) -> np.ndarray:
    """Return a disc on black, uint8 (224, 224); brightness 0 to 1."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    disc = np.hypot(rows - SIZE / 2, columns - SIZE / 2) < SIZE / 3
    return (disc * round(255 * brightness)).astype(np.uint8)


def bright_image() -> np.ndarray:
    """Return noise near white, uint8 (224, 224): unlike every image of `tiny_image`."""
    noise = np.random.default_rng(0).integers(200, 256, (SIZE, SIZE))
    return noise.astype(np.uint8)


def tiny_manifest(network: Path = TINY, **changes: Any) -> dict[str, Any]:
    """Return the fields of a tiny network's manifest, some of them changed."""
    spec = build_engine(network.read_bytes(), threads=1, backend="cpu").input
    fields = {
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
    return {**fields, **changes}


def tiny_golden() -> tuple[np.ndarray, np.ndarray]:
    """Return golden inputs, uint8 (4, 224, 224), and the logits that the network gives, float32 (4,)."""
    images = np.stack([tiny_image(brightness) for brightness in (0.0, 0.3, 0.6, 1.0)])
    engine = build_engine(TINY.read_bytes(), threads=1, backend="cpu")
    outputs = [
        engine.run((image.astype(np.int16) - 128).astype(np.int8)[None, ..., None])[0].ravel() for image in images
    ]
    return images, np.array([pair[1] - pair[0] for pair in outputs], np.float32)


def tiny_evidence(
    images: list[np.ndarray], *, normalization: IntensityNormalization = "none", **outputs: Any
) -> list[ModelOutput]:
    """Return the outputs of the network that has an evidence map."""
    engine = build_engine(TINY_EVIDENCE.read_bytes(), threads=1, backend="cpu")
    fields = tiny_manifest(TINY_EVIDENCE)["input"]
    spec, out = (
        InputSpec.model_validate({**fields, "tone": normalization}),
        OutputSpec(**{**EVIDENCE_OUTPUTS, **outputs}),
    )
    return [read_outputs(out, engine.run(input_tensor(image, spec, level_table(spec)))) for image in images]


def outliers_file(**arrays: np.ndarray) -> bytes:
    """Return outliers.npz with two clusters, the dark and the bright disc; `arrays` replace its own."""
    centres = [output.features for output in tiny_evidence([tiny_image(0.2), tiny_image(1.0)])]
    whiten = np.diag(np.float32([10, 10, 50, 50, 50]))
    stream = io.BytesIO()
    np.savez(stream, **{"centres": np.stack(centres).astype(np.float32), "whiten": whiten, **arrays})
    return stream.getvalue()


def make_evidence_bundle(
    folder: Path,
    *,
    name: str = "tiny-evidence.bundle",
    normalization: IntensityNormalization = "none",
    bias: float = 0.0,
    outliers: bytes | None = None,
    threshold: float | None = OUTLIER_THRESHOLD,
    **changes: Any,
) -> tuple[Path, PublicKey]:
    """Write a bundle whose network has an evidence map and features, with an out-of-distribution rule."""
    images = tiny_golden()[0]
    logits = np.float32(
        [output.logit for output in tiny_evidence(list(images), normalization=normalization, bias=bias)]
    )
    parts = {
        MODEL: TINY_EVIDENCE.read_bytes(),
        GOLDEN: golden_file(images, logits),
        OUTLIERS: outliers_file() if outliers is None else outliers,
    }
    fields = {
        "input": {**tiny_manifest(TINY_EVIDENCE)["input"], "tone": normalization},
        "outputs": {**EVIDENCE_OUTPUTS, "bias": bias},
        "outliers": None if threshold is None else {"threshold": threshold, "chosen_on": "nothing"},
    }
    return make_bundle(folder, name=name, **{"parts": parts, **fields, **changes})


def make_bundle(
    folder: Path,
    *,
    name: str = "tiny.bundle",
    key: Path | None = None,
    parts: dict[str, bytes] | None = None,
    **changes: Any,
) -> tuple[Path, PublicKey]:
    """Write a bundle; return its path and the public key to trust. `changes` are fields of the manifest."""
    key = key or folder / "test.key"
    if not key.exists():
        make_key(key)
    signing = read_signing_key(key)
    default_parts = {MODEL: TINY.read_bytes(), GOLDEN: golden_file(*tiny_golden()), "model_card.md": b"# Tiny\n"}
    model = ModelDescription.model_validate(tiny_manifest(**changes))
    write_bundle(folder / name, signed_parts(model, parts or default_parts, signing))
    return folder / name, PublicKey(raw=signing.public.raw, where=key.with_name(f"{key.name}.pub"))
