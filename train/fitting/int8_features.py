"""Frozen features as an int8 network computes them, and the body with fake-quantized kernels.

A rule that reads a body's means need not be fitted before int8 has its say. The body's kernels are rounded first, as
quantization-aware training does (Jacob et al. 2018, arXiv:1712.05877), so that float and int8 differ by activations
alone; what those still do to each mean is measured on the network a box would run, and the rule is told.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from numpy.typing import NDArray

from device.inference.backends.engine import build_engine
from device.preprocess.intensity import IntensityNormalization, normalize_intensity
from train.data.dataset import LabelledImages
from train.networks.evidence_head import at_224, standard_means
from train.networks.predictor import network_input
from train.quantization.converter import output_order, to_int8
from train.quantization.cross_layer_equalization import equalize_for_int8, fake_quantized

CALIBRATION_IMAGES = 200
"""Training images that set the int8 ranges; they are kept with the run."""
Means = Mapping[int, NDArray[np.float32]]
Stats = Mapping[int, tuple[NDArray[np.float32], NDArray[np.float32]]]


def calibration_images(dataset: LabelledImages) -> tuple[NDArray[np.uint8], list[str]]:
    """A fixed choice of training images, as many of each class as there are, and their digests."""
    random = np.random.default_rng(0)
    groups = [random.permutation(np.flatnonzero(dataset.labels == label)) for label in (0, 1)]
    chosen = np.sort(np.concatenate([group[: CALIBRATION_IMAGES // 2] for group in groups]))
    return dataset.images[chosen], [dataset.digests[index] for index in chosen]


def normalized_images(images: NDArray[np.uint8], tone: IntensityNormalization) -> NDArray[np.uint8]:
    """`images` uint8 (n, rows, columns) as the network is to see them."""
    return np.stack([normalize_intensity(image, tone) for image in images])


def as_int8(shown: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Toned images (n, rows, columns) as the network takes them, (n, rows, columns, 1). One grey value is one step."""
    return (shown.astype(np.int16) - 128).astype(np.int8)[..., None]


def equalize_and_fake_quantize(body: keras.Model, shown: NDArray[np.uint8], *, mean: float) -> None:
    """Equalize `body` and round its kernels in place; `shown`, normalized uint8 (n, 224, 224), give the ranges."""
    small = keras.layers.Resizing(*body.input.shape[1:3], interpolation="bilinear")
    equalize_for_int8(body, np.asarray(small(network_input(shown, mean=mean, tone="none")), np.float32))
    fake_quantized(body)


class Int8Means:
    """What a box's int8 network says the channel means of a body's blocks are.

    `stats`: mean and spread of each block's channels; `shown` as for `put_on_grid`.
    """

    def __init__(self, body: keras.Model, stats: Stats, shown: NDArray[np.uint8], *, mean: float) -> None:
        pools = [standard_means(body, block, *found) for block, found in stats.items()]
        tflite = to_int8(at_224(keras.Model(body.input, pools)), shown, mean=mean)
        self._stats, self._order = stats, output_order(tflite)
        self._engine = build_engine(tflite, threads=1, backend="cpu")

    def of(self, shown: NDArray[np.uint8]) -> dict[int, NDArray[np.float32]]:
        """By block, float32 (n, channels), of normalized images uint8 (n, 224, 224)."""
        said = [[part.ravel() for part in self._engine.run(image[None])] for image in as_int8(shown)]
        return {
            block: np.stack([parts[place] for parts in said]) * spread + mean
            for place, (block, (mean, spread)) in zip(self._order, self._stats.items(), strict=True)
        }
