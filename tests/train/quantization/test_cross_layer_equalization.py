from __future__ import annotations

import keras
import numpy as np
import pytest

from train.networks.efficientnet_lite0 import backbone, block_output, load_imagenet
from train.networks.evidence_head import Standard, evidence_network
from train.quantization.cross_layer_equalization import correct_offsets, equalize

SIDE = 64


def network() -> keras.Model:
    """ImageNet's network with a random head and the features of one block."""
    body = backbone(size=SIDE)
    load_imagenet(body)
    channels = block_output(body, 4).shape[-1]
    weight = np.random.default_rng(0).normal(0, 1, body.output.shape[-1]).astype(np.float32)
    standard = Standard(mean=np.zeros(channels, np.float32), spread=np.ones(channels, np.float32))
    return evidence_network(body, weight, {4: standard})


def images(count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    coarse = random.normal(0, 0.25, (count, 8, 8, 1))
    fine = np.kron(coarse, np.ones((1, 8, 8, 1))) + random.normal(0, 0.03, (count, SIDE, SIDE, 1))
    return np.clip(fine, -0.5, 0.5).astype(np.float32)


def ranges(model: keras.Model, layer: str) -> np.ndarray:
    outputs = keras.Model(model.input, model.get_layer(layer).output).predict_on_batch(images(8, 0))
    return np.abs(np.asarray(outputs)).max(axis=(0, 1, 2))


def test_the_network_says_the_same_and_its_channels_fill_their_range() -> None:
    model = network()
    before, narrow = model.predict_on_batch(images(8, 0)), ranges(model, "stem_bn_relu")
    equalize(model, images(8, 0))
    for old, new in zip(before, model.predict_on_batch(images(8, 0)), strict=True):
        np.testing.assert_allclose(new, old, atol=2e-3 * np.abs(old).max())
    alive = narrow > 0.1
    assert ranges(model, "stem_bn_relu")[alive].min() > 3 * narrow[alive].min()


def test_rounded_kernels_keep_the_mean_of_what_the_network_says() -> None:
    model = network()
    wanted = np.asarray(model.predict_on_batch(images(8, 0))[1]).mean(axis=0)

    def shift(*, corrected: bool) -> float:
        other = keras.models.clone_model(model)
        other.set_weights(model.get_weights())
        if corrected:
            correct_offsets(other, images(8, 0))
        for layer in other.layers:
            if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D) and "pool" not in layer.name:
                kernel, *rest = layer.get_weights()
                axes = (0, 1, 3) if isinstance(layer, keras.layers.DepthwiseConv2D) else (0, 1, 2)
                step = np.abs(kernel).max(axis=axes, keepdims=True) / 127 + 1e-12
                layer.set_weights([np.rint(kernel / step) * step, *rest])
        return float(np.abs(np.asarray(other.predict_on_batch(images(8, 0))[1]).mean(axis=0) - wanted).mean())

    # Negative control: without the correction the rounding shows.
    assert shift(corrected=True) < 0.5 * shift(corrected=False)


@pytest.mark.parametrize("step", [equalize, correct_offsets])
def test_kernels_stay_finite(step: object) -> None:
    model = network()
    assert callable(step)
    step(model, images(8, 0))
    assert all(np.isfinite(weights).all() for weights in model.get_weights())
