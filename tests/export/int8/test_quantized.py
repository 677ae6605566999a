from __future__ import annotations

import numpy as np
import pytest

from device.inference.backends.engine import build_engine
from export.int8.quantized import quantize
from tests.train.fitting.test_edge import trained_run
from train.networks.predictor import at_input_size, predict
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
    resized = at_input_size(settled.predictor.network, images)
    levels = (resized.astype(np.int16) - 128).astype(np.int8)[..., None]
    outputs = [engine.run(image[None]) for image in levels]
    place, features = network.outputs.evidence, network.outputs.features
    logits = np.array([maps[place].sum() for maps in outputs]) + network.outputs.bias
    expected = predict(settled.predictor, images)
    assert expected.features is not None
    assert np.abs(logits - expected.logits).max() < 0.25 * expected.logits.std()
    features_int8 = np.array([np.concatenate([maps[i].ravel() for i in features]) for maps in outputs])
    assert np.corrcoef(features_int8.ravel(), expected.features.ravel())[0, 1] > 0.95
