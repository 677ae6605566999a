"""Provisional bundle: a run, its int8 network and a key come in; the model as a box loads it goes out, not measured."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.bundle.loader import EDGETPU_MODEL, GOLDEN, MODEL, OUTLIERS, load_bundle
from device.bundle.manifest import InputSpec, ModelDescription
from device.inference.backends.engine import build_engine
from device.inference.classifier import Classifier
from device.inference.tensors import input_tensor, level_table, read_outputs
from export.bundle.description import Release, describe
from export.bundle.golden import golden_inputs
from export.bundle.writer import SigningKey, arrays_file, golden_file, json_file, signed_parts, write_bundle
from export.int8.quantized import Int8Network
from train.run.trained_run import TrainedRun


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionalBundle:
    """The model's description without metrics, the files of the bundle by name, and the classifier of a box."""

    model: ModelDescription
    parts: Mapping[str, bytes]
    classifier: Classifier


def provisional_bundle(run: TrainedRun, network: Int8Network, release: Release, key: SigningKey) -> ProvisionalBundle:
    """Describe the model, sign it and load it as a box would. Raises ExportError, BundleError."""
    model = describe(run, network, release)
    golden = golden_inputs()
    parts = {
        MODEL: network.tflite,
        GOLDEN: golden_file(golden, golden_logits(network, model.input, golden)),
        "audit.json": json_file(network.audit.to_dict()),
        "calibration_images.json": json_file({"sha256": run.calibration_images.digests}),
    }
    distances = run.predictor.outliers
    if distances is not None and model.outliers is not None:
        parts[OUTLIERS] = arrays_file(centres=distances.centres, whiten=distances.whiten)
    if network.compiled is not None:
        parts[EDGETPU_MODEL] = network.compiled
    with tempfile.TemporaryDirectory(prefix="pneumoflag-export-") as folder:
        path = Path(folder) / "provisional.bundle"
        write_bundle(path, signed_parts(model, parts, key))
        classifier = Classifier(load_bundle(path, [key.public]), backend="cpu", threads=1)
    return ProvisionalBundle(model=model, parts=parts, classifier=classifier)


def golden_logits(network: Int8Network, spec: InputSpec, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the logits (n,) of `images` uint8 (n, rows, columns) that the network gives on this machine."""
    engine = build_engine(network.tflite, threads=1, backend="cpu")
    levels = level_table(spec)
    tensors = (input_tensor(image, spec, levels) for image in images)
    return np.array([read_outputs(network.outputs, engine.run(tensor)).logit for tensor in tensors], np.float32)
