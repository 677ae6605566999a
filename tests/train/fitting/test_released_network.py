from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from export.int8.quantized import quantize
from tests.train.fitting.test_edge import trained_run
from train.fitting.fine_tune import MEAN, Classifier
from train.fitting.released_network import StartError, classifier_from_int8, released_classifier
from train.networks.predictor import at_input_size, predict
from train.recipe import find_recipe, load_recipe
from train.run.trained_run import TrainedRun, load_trained_run

PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    return load_trained_run(trained_run(tmp_path_factory.mktemp("released")), 1)


def logits(classifier: Classifier, images: np.ndarray) -> np.ndarray:
    maps = np.asarray(classifier.body(((images[..., None].astype(np.float32)) - MEAN) / 255))
    return maps.mean(axis=(1, 2)) @ classifier.weight + classifier.bias


def test_the_network_read_from_int8_computes_what_the_quantized_one_does(run: TrainedRun) -> None:
    network = quantize(run)
    images = run.calibration_images.images
    restored = classifier_from_int8(network.tflite, 64, network.outputs.bias)
    float_logits = predict(run.predictor, images).logits
    restored_logits = logits(restored, at_input_size(run.predictor.network, images))
    assert np.corrcoef(restored_logits, float_logits)[0, 1] > 0.99
    assert np.abs(restored_logits - float_logits).max() < 0.25 * float_logits.std()


def test_another_kind_of_network_is_refused(run: TrainedRun) -> None:
    with pytest.raises(StartError, match="no convolution"):
        classifier_from_int8((PROJECT / "tests/support/tiny.tflite").read_bytes(), 64, 0.0)


def test_a_bundle_of_another_size_is_refused() -> None:
    recipe = load_recipe(find_recipe("edge"))
    smaller = recipe.model_copy(update={"network": recipe.network.model_copy(update={"side": 96})})
    bundle = next(PROJECT.glob("firmware_config/bundles/edge-adult-*"))
    with pytest.raises(StartError, match="expected an evidence network of 96 x 96 pixels"):
        released_classifier(bundle, smaller)
