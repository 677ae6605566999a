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

GREY_LEVELS = 256


class ModelOutput(NamedTuple):
    """The network's output for one image.

    `evidence` float32 (rows, columns), each position's share of the logit, and `features` float32 (k,), or None.
    """

    logit: float
    evidence: Floats32 | None = None
    features: Floats32 | None = None


def level_table(spec: InputSpec) -> NDArray[np.int8]:
    """The network's int8 input for each grey value, shape (256,): `q = (grey - mean) / 255 / scale + zero_point`."""
    real = (np.arange(GREY_LEVELS, dtype=np.float64) - spec.mean) / (GREY_LEVELS - 1)
    levels: NDArray[np.int8] = np.clip(np.rint(real / spec.scale) + spec.zero_point, -128, 127).astype(np.int8)
    return levels


def input_tensor(film: NDArray[np.uint8], spec: InputSpec, levels: NDArray[np.int8]) -> NDArray[np.int8]:
    """int8 (1, rows, columns, 1) of a preprocessed film uint8 (rows, columns): in its tone, as `level_table` says."""
    found = cv2.LUT(normalize_intensity(film, spec.tone), levels.view(np.uint8)).view(np.int8)
    return found.reshape(spec.shape)


def read_outputs(spec: OutputSpec, outputs: list[Floats32]) -> ModelOutput:
    """The logit of pneumonia, and evidence map and features where there are any."""
    features = np.concatenate([outputs[index].ravel() for index in spec.features]) if spec.features else None
    evidence = None
    if spec.evidence is not None:
        whole = outputs[spec.evidence]
        evidence = whole.reshape(whole.shape[1:3])
    if spec.kind == "evidence" and evidence is not None:
        return ModelOutput(float(evidence.sum(dtype=np.float64)) + spec.bias, evidence, features)
    found = outputs[spec.logit or 0].ravel()
    logit = found[1] - found[0] if spec.kind == "logits2" else found[0]
    return ModelOutput(float(logit), evidence, features)


def unfit(bundle: Bundle, engine: Engine) -> list[str]:
    """Why this engine cannot run the bundle's network; empty when it can."""
    manifest = bundle.manifest
    faults = _input_faults(manifest.input, engine) + _output_faults(manifest.outputs, engine)
    if bundle.outliers is not None and not faults:
        faults += _feature_faults(manifest.outputs, engine, expected=bundle.outliers.centres.shape[1])
    return faults + _version_faults(manifest, engine)


def _input_faults(spec: InputSpec, engine: Engine) -> list[str]:
    found = engine.input
    if (found.shape, found.dtype, found.zero_point) != (spec.shape, spec.dtype, spec.zero_point):
        return [f"the network takes {found}, the manifest says {spec}; build the bundle anew"]
    if not math.isclose(found.scale, spec.scale, rel_tol=1e-5):
        return [f"the network's input scale is {found.scale}, the manifest says {spec.scale}; build it anew"]
    return []


def _version_faults(manifest: Manifest, engine: Engine) -> list[str]:
    faults = []
    if manifest.preprocess_version != PREPROCESS_VERSION:
        faults.append(
            f"made for preprocessing version {manifest.preprocess_version}, this box has {PREPROCESS_VERSION}; "
            "install the matching bundle"
        )
    oldest = manifest.minimum_runtime.get(engine.interpreter_name)
    if oldest is not None and _numbers(engine.version) < _numbers(oldest):
        faults.append(f"needs {engine.interpreter_name} {oldest} or newer, {engine.version} is here; update it")
    return faults


def _output_faults(spec: OutputSpec, engine: Engine) -> list[str]:
    count = len(engine.outputs)
    named = [spec.logit if spec.kind != "evidence" else None, spec.evidence, *spec.features]
    foreign = [index for index in named if index is not None and index >= count]
    if foreign:
        return [f"output {index} is named, the network has {count}; build the bundle anew" for index in foreign]
    if spec.evidence is not None and not _is_map(engine.outputs[spec.evidence].shape):
        shape = engine.outputs[spec.evidence].shape
        return [f"output {spec.evidence} is {shape}, an evidence map (1, rows, columns, 1) expected; build it anew"]
    if spec.kind == "evidence":
        return []
    values, expected = math.prod(engine.outputs[spec.logit or 0].shape), 2 if spec.kind == "logits2" else 1
    return [] if values == expected else [f"{values} logits come out, {expected} expected; build the bundle anew"]


def _feature_faults(spec: OutputSpec, engine: Engine, *, expected: int) -> list[str]:
    found = sum(math.prod(engine.outputs[index].shape) for index in spec.features)
    words = f"{found} features come out, the outlier rule is for {expected}; build the bundle anew"
    return [] if found == expected else [words]


def _is_map(shape: tuple[int, ...]) -> bool:
    """(1, rows, columns, 1), or without the last."""
    return len(shape) in {3, 4} and shape[0] == 1 and shape[3:] in {(), (1,)}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
