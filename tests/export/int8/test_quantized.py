from __future__ import annotations

import numpy as np
import pytest

from device.inference.backends.engine import build_engine
from export.int8.quantized import quantize
from tests.train.fitting.test_edge import trained_run
from train.networks.predictor import predict
from train.run.trained_run import TrainedRun, load_trained_run


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    return load_trained_run(trained_run(tmp_path_factory.mktemp("settled")), 1)


@pytest.fixture(scope="module")
def images(settled: TrainedRun) -> np.ndarray:
    return settled.calibration_images.images


def test_its_int8_form_has_the_same_outputs(settled: TrainedRun, images: np.ndarray) -> None:
    network = quantize(settled)
    engine = build_engine(network.tflite, threads=1, backend="cpu")
    shown = (images.astype(np.int16) - 128).astype(np.int8)[..., None]
    outputs = [engine.run(image[None]) for image in shown]
    place, features = network.outputs.evidence, network.outputs.features
    logits = np.array([maps[place].sum() for maps in outputs]) + network.outputs.bias
    known = predict(settled.predictor, images)
    assert known.features is not None
    assert np.abs(logits - known.logits).max() < 0.25 * known.logits.std()
    found = np.array([np.concatenate([maps[i].ravel() for i in features]) for maps in outputs])
    assert np.corrcoef(found.ravel(), known.features.ravel())[0, 1] > 0.95
