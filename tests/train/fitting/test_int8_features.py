from __future__ import annotations

import keras
import numpy as np
import pytest

from tests.train.quantization.test_cross_layer_equalization import SIDE, images
from train.fitting.int8_features import Int8Means, equalize_and_fake_quantize
from train.networks.efficientnet_lite0 import backbone, block_output, load_imagenet
from train.networks.evidence_head import at_224, standard_means
from train.networks.predictor import network_input

BLOCKS = (4, 8)


def drawn(count: int, seed: int) -> np.ndarray:
    """uint8 (n, 224, 224)."""
    small = images(count, seed)[..., 0]
    return np.kron(np.round((small + 0.5) * 255), np.ones((4, 4)))[:, :224, :224].astype(np.uint8)


def body() -> keras.Model:
    found = backbone(size=SIDE)
    load_imagenet(found)
    return found


def float_means(network: keras.Model, shown: np.ndarray) -> dict[int, np.ndarray]:
    taps = keras.Model(network.input, [keras.ops.mean(block_output(network, k), axis=(1, 2)) for k in BLOCKS])
    found = at_224(taps).predict_on_batch(network_input(shown, mean=127.0, tone="none"))
    return dict(zip(BLOCKS, (np.asarray(part) for part in found), strict=True))


def noise_of(network: keras.Model, shown: np.ndarray) -> float:
    """Root mean square of what int8 adds to a mean, over the mean's spread."""
    means = float_means(network, shown)
    stats = {block: (part.mean(axis=0), part.std(axis=0) + 1e-3) for block, part in means.items()}
    said = Int8Means(network, stats, shown[:16], mean=127.0).of(shown)
    noise = [((said[k] - means[k]) - (said[k] - means[k]).mean(axis=0)) / stats[k][1] for k in BLOCKS]
    return float(np.sqrt(np.mean(np.concatenate(noise, axis=1) ** 2)))


@pytest.fixture(scope="module")
def shown() -> np.ndarray:
    return drawn(24, 0)


def test_int8_says_the_means_with_some_noise_and_the_grid_takes_part_of_it_away(shown: np.ndarray) -> None:
    plain, settled = body(), body()
    equalize_and_fake_quantize(settled, shown[:16], mean=127.0)
    before, after = noise_of(plain, shown), noise_of(settled, shown)
    assert 0 < after < 0.7 * before < 0.7


def test_a_body_on_the_grid_stays_there(shown: np.ndarray) -> None:
    settled = body()
    equalize_and_fake_quantize(settled, shown[:8], mean=127.0)
    for layer in settled.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            (kernel,) = layer.get_weights()
            axes = (0, 1, 3) if isinstance(layer, keras.layers.DepthwiseConv2D) else (0, 1, 2)
            largest = np.abs(kernel).max(axis=axes, keepdims=True)
            steps = kernel / (np.where(largest > 0, largest, 1) / 127)
            np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)


def test_head_means_are_standard(shown: np.ndarray) -> None:
    network = body()
    means = float_means(network, shown)
    stats = (means[4].mean(axis=0), means[4].std(axis=0) + 1e-3)
    found = at_224(keras.Model(network.input, standard_means(network, 4, *stats))).predict_on_batch(
        network_input(shown, mean=127.0, tone="none")
    )
    np.testing.assert_allclose(np.asarray(found).reshape(24, -1), (means[4] - stats[0]) / stats[1], atol=1e-2)
