"""Prepare the network's input tensor and interpret its outputs, both as the bundle's manifest describes them.

Also explains why an interpreter cannot run the network of a bundle. Everything here is pure.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from device.bundle.loader import Bundle
from device.bundle.manifest import InputSpec, Manifest, OutputSpec
from device.bundle.ood_rule import Floats32
from device.inference.backends.engine import Engine
from device.preprocess.intensity import normalize_intensity
from device.preprocess.render import PREPROCESS_VERSION
from device.preprocess.resample import to_network_size

GREY_LEVELS = 256


class ModelOutput(NamedTuple):
    """The network's output for one image.

    `evidence` is float32 (rows, columns), each position's share of the logit, and `features` float32 (k,), or None.
    """

    logit: float
    evidence: Floats32 | None = None
    features: Floats32 | None = None


def level_table(spec: InputSpec) -> NDArray[np.int8]:
    """Return the int8 input for each grey value, shape (256,): `q = (grey - mean) / 255 / scale + zero_point`."""
    real = (np.arange(GREY_LEVELS, dtype=np.float64) - spec.mean) / (GREY_LEVELS - 1)
    levels: NDArray[np.int8] = np.clip(np.rint(real / spec.scale) + spec.zero_point, -128, 127).astype(np.int8)
    return levels


def input_tensor(image: NDArray[np.uint8], spec: InputSpec, levels: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return int8 (1, rows, columns, 1) of a preprocessed image, normalized, resized and quantized."""
    resized = to_network_size(normalize_intensity(image, spec.normalization), spec.shape[1:3])
    tensor = cv2.LUT(resized, levels.view(np.uint8)).view(np.int8)
    return tensor.reshape(spec.shape)


def read_outputs(spec: OutputSpec, outputs: list[Floats32]) -> ModelOutput:
    """Return the logit of pneumonia, and the evidence map and features where the network has them."""
    features = np.concatenate([outputs[index].ravel() for index in spec.features]) if spec.features else None
    evidence = None
    if spec.evidence is not None:
        output = outputs[spec.evidence]
        evidence = output.reshape(output.shape[1:3])
    if spec.kind == "evidence" and evidence is not None:
        return ModelOutput(float(evidence.sum(dtype=np.float64)) + spec.bias, evidence, features)
    values = outputs[spec.logit or 0].ravel()
    logit = values[1] - values[0] if spec.kind == "logits2" else values[0]
    return ModelOutput(float(logit), evidence, features)


def reasons_unsuitable(bundle: Bundle, engine: Engine) -> list[str]:
    """Return why this engine cannot run the bundle's network; empty when it can."""
    manifest = bundle.manifest
    reasons = _input_faults(manifest.input, engine) + _output_faults(manifest.outputs, engine)
    if bundle.outliers is not None and not reasons:
        spec, expected = manifest.outputs, bundle.outliers.centres.shape[1]
        count = sum(math.prod(engine.outputs[index].shape) for index in spec.features)
        if count != expected:
            reasons.append(f"features for the outlier rule: expected {expected}, got {count}; rebuild the bundle")
    return reasons + _version_faults(manifest, engine)


def _input_faults(spec: InputSpec, engine: Engine) -> list[str]:
    actual = engine.input
    if (actual.shape, actual.dtype, actual.zero_point) != (spec.shape, spec.dtype, spec.zero_point):
        return [f"the network's input: expected {spec}, got {actual}; rebuild the bundle"]
    if not math.isclose(actual.scale, spec.scale, rel_tol=1e-5):
        return [f"the network's input scale: expected {spec.scale}, got {actual.scale}; rebuild the bundle"]
    return []


def _version_faults(manifest: Manifest, engine: Engine) -> list[str]:
    faults = []
    if manifest.preprocess_version != PREPROCESS_VERSION:
        faults.append(
            f"preprocessing version: expected {PREPROCESS_VERSION}, got {manifest.preprocess_version}; "
            "install a bundle for this version"
        )
    oldest = manifest.minimum_runtime.get(engine.interpreter_name)
    if oldest is not None and _version_numbers(engine.version) < _version_numbers(oldest):
        faults.append(f"{engine.interpreter_name}: expected {oldest} or newer, got {engine.version}; update it")
    return faults


def _output_faults(spec: OutputSpec, engine: Engine) -> list[str]:
    count = len(engine.outputs)
    indices = [spec.logit if spec.kind != "evidence" else None, spec.evidence, *spec.features]
    absent = [index for index in indices if index is not None and index >= count]
    if absent:
        return [f"the manifest names output {index}, the network has {count}; rebuild the bundle" for index in absent]
    if spec.evidence is not None:
        shape = engine.outputs[spec.evidence].shape
        if len(shape) not in {3, 4} or shape[0] != 1 or shape[3:] not in {(), (1,)}:
            return [f"output {spec.evidence}: expected a map (1, rows, columns, 1), got {shape}; rebuild the bundle"]
    if spec.kind == "evidence":
        return []
    logits, expected = math.prod(engine.outputs[spec.logit or 0].shape), 2 if spec.kind == "logits2" else 1
    return [] if logits == expected else [f"logits: expected {expected}, got {logits}; rebuild the bundle"]


def _version_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
