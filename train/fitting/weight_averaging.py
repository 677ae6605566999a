"""Weight averaging: one network with the mean of the weights of a run's seeds.

Seeds that start from the same pretrained network end near each other, and the mean of their weights holds better on
images from elsewhere than any of them, at the cost of one (Wortsman et al. 2022, arXiv:2203.05482). The statistics of
its batch norms are none of the seeds': they are measured again on changed training images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from train.data.dataset import LabelledImages
from train.fitting.fine_tune import batches_of, freeze, steps_per_epoch
from train.networks.efficientnet_lite0 import BLOCKS, backbone
from train.networks.evidence_head import share_weight
from train.networks.predictor import Predictor
from train.recipe import Recipe, edge_network

STATISTICS_MOMENTUM = 0.9
EPOCH = 10_000
"""Its images and changes are drawn as those of an epoch that no training reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """`body` up to its last map; the logit is that map's channel means times `weight`, plus `bias`."""

    body: keras.Model
    weight: NDArray[np.float32]
    bias: float


def mean_of(recipe: Recipe, networks: Sequence[Predictor], dataset: LabelledImages) -> Mean:
    """Of at least two fine-tuned networks of one recipe. `images` are those they were trained on."""
    if len(networks) < 2:
        raise ValueError(f"{len(networks)} network: a mean of at least two expected")
    body = backbone(size=edge_network(recipe).side)
    inside = [predictor.network.get_layer("edge_small") for predictor in networks]
    for layer in body.layers:
        theirs = [network.get_layer(layer.name).get_weights() for network in inside]
        layer.set_weights([np.mean(parts, axis=0) for parts in zip(*theirs, strict=True)])
    measure_statistics(recipe, body, dataset)
    weight = np.mean([share_weight(network, BLOCKS) for network in inside], axis=0)
    return Mean(body=body, weight=weight, bias=float(np.mean([predictor.bias for predictor in networks])))


def measure_statistics(recipe: Recipe, body: keras.Model, dataset: LabelledImages) -> None:
    """Give the batch norms of `body` the means and variances of changed training images; frozen blocks keep theirs."""
    freeze(body, recipe.fine_tune.frozen_blocks)
    norms = [layer for layer in body.layers if isinstance(layer, keras.layers.BatchNormalization)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = STATISTICS_MOMENTUM
    image = keras.Input((*dataset.images.shape[1:], 1))
    side = edge_network(recipe).side
    network = keras.Model(image, body(keras.layers.Resizing(side, side, interpolation="bilinear")(image)))
    for batch, _ in batches_of(recipe, dataset, EPOCH, steps_per_epoch(recipe, len(dataset)) // 2 + 1, seed=0):
        network(batch, training=True)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    body.trainable = True
