"""Frozen features: channel means of an ImageNet network's blocks.

Where the rule asks for it, the network is put with int8's steps first, and what int8 adds to the means goes out too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

import keras
import numpy as np
from numpy.typing import NDArray

from train.data.dataset import LabelledImages
from train.fitting.fine_tune import MEAN
from train.fitting.int8_features import (
    Int8Means,
    calibration_images,
    equalize_and_fake_quantize,
    normalized_images,
)
from train.networks.efficientnet_lite0 import backbone, block_output, load_imagenet
from train.networks.predictor import network_input
from train.recipe import Recipe, edge_network

BATCH = 32
LEAST_SPREAD = 1e-3
"""A channel that hardly moves on known images tells nothing by moving a little more."""
Means = dict[int, NDArray[np.float32]]
Images = NDArray[np.uint8]
Found = TypeVar("Found")
_REMEMBERED: dict[str, Any] = {}
"""What untrained features say of images does not depend on the seed; reading an image costs more than all else."""


class Untrained:
    """The features of a recipe. `images` are the training images: some of them tell int8's ranges."""

    def __init__(self, recipe: Recipe, dataset: LabelledImages) -> None:
        self.fake_quantized = recipe.rule.noise_penalty > 0
        self.body = backbone(size=edge_network(recipe).side)
        self._recipe = recipe
        images, digests = calibration_images(dataset)
        self._shown = normalized_images(images, recipe.tone)
        self._name = f"{edge_network(recipe).side} {recipe.tone} {digests if self.fake_quantized else ''}"
        self.body.set_weights(_remembered(f"body {self._name}", self._weights))

    def _weights(self) -> list[NDArray[np.float32]]:
        load_imagenet(self.body)
        if self.fake_quantized:
            equalize_and_fake_quantize(self.body, self._shown, mean=MEAN)
        weights: list[NDArray[np.float32]] = self.body.get_weights()
        return weights

    def means(self, blocks: tuple[int, ...], images: Images) -> Means:
        """Each block's channel means, see `block_means`."""
        asked = f"means {self._name} {blocks} {_content(images)}"
        return _remembered(asked, lambda: block_means(self.body, blocks, images, self._recipe))

    def noise(self, blocks: tuple[int, ...], images: Images) -> Means | None:
        """What int8 adds to those means; None where the rule does not ask."""
        if not self.fake_quantized:
            return None
        return _remembered(f"noise {self._name} {blocks} {_content(images)}", lambda: self._noise(blocks, images))

    def _noise(self, blocks: tuple[int, ...], images: Images) -> Means:
        means = self.means(blocks, images)
        said = Int8Means(self.body, standards(means), self._shown, mean=MEAN).of(
            normalized_images(images, self._recipe.tone)
        )
        return {block: said[block] - means[block] for block in blocks}


def _remembered(asked: str, find: Callable[[], Found]) -> Found:
    if asked not in _REMEMBERED:
        _REMEMBERED[asked] = find()
    found: Found = _REMEMBERED[asked]
    return found


def _content(images: Images) -> str:
    return f"{images.shape} {hashlib.sha256(images.tobytes()).hexdigest()}"


def standards(means: Means) -> dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Each block's mean and spread over images, (channels,) each."""
    return {block: (found.mean(axis=0), found.std(axis=0) + LEAST_SPREAD) for block, found in means.items()}


def block_means(body: keras.Model, blocks: tuple[int, ...], images: Images, recipe: Recipe) -> Means:
    """Each block's channel means (n, channels) of `images` uint8 (n, 224, 224) as preprocessed."""
    side = edge_network(recipe).side
    taps = keras.Model(body.input, [keras.ops.mean(block_output(body, k), axis=(1, 2)) for k in blocks])
    image = keras.Input((224, 224, 1))
    network = keras.Model(image, taps(keras.layers.Resizing(side, side, interpolation="bilinear")(image)))
    found = []
    for start in range(0, len(images), BATCH):
        batch = network_input(images[start : start + BATCH], mean=MEAN, tone=recipe.tone)
        out = network.predict_on_batch(batch)
        found.append([np.asarray(part) for part in (out if isinstance(out, list | tuple) else [out])])
    return {block: np.concatenate(parts) for block, parts in zip(blocks, zip(*found, strict=True), strict=True)}
