"""The evidence head: a network whose logit is the sum of a map, and features of its blocks.

The rule is linear in means over positions, so each position's share of the logit is exact: every block is averaged to
the side of the last map, weighted to one channel, and the maps are added. The further outputs are channel means that
say whether the image is of the kind the network knows.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from numpy.typing import NDArray

from train.networks.efficientnet_lite0 import block_name, block_output

Floats32 = NDArray[np.float32]
SIDE = 224
"""Rows and columns of a preprocessed image."""


def evidence_network(
    body: keras.Model, weights: Mapping[int, Floats32], features: Mapping[int, tuple[Floats32, Floats32]]
) -> keras.Model:
    """Image (n, size, size, 1) to [evidence (n, side, side, 1), features (n, 1, 1, channels) of each block asked for].

    `weights` are by block, float32 (channels,), what the mean of each channel counts in the logit; `features` by block
    (mean, spread) of its channels on known images.
    """
    side = body.output.shape[1]
    shares = [_share(body, block, weight, side) for block, weight in weights.items()]
    evidence = shares[0] if len(shares) == 1 else keras.layers.Add(name="evidence")(shares)
    pools = [standard_means(body, block, *stats) for block, stats in features.items()]
    return keras.Model(body.input, [evidence, *pools], name="edge_small")


def _share(body: keras.Model, block: int, weight: Floats32, side: int) -> keras.KerasTensor:
    """Average and weigh in one convolution: a pool of its own would round to the map's coarse int8 scale first."""
    x = block_output(body, block)
    step = x.shape[1] // side
    conv = keras.layers.Conv2D(1, step, step, use_bias=False, name=f"{block_name(body, block)}_share")
    out = conv(x)
    kernel = np.broadcast_to(weight.reshape(1, 1, -1, 1) / (step * side) ** 2, (step, step, weight.size, 1))
    conv.set_weights([kernel.astype(np.float32)])
    return out


def share_weight(network: keras.Model, block: int) -> Floats32:
    """The weight, (channels,), that `evidence_network` was given for a block of the last map's side."""
    (kernel,) = network.get_layer(f"{block_name(network, block)}_share").get_weights()
    positions = network.outputs[0].shape[1] * network.outputs[0].shape[2]
    weight: Floats32 = kernel[0, 0, :, 0] * positions
    return weight


def standard_means(body: keras.Model, block: int, mean: Floats32, spread: Floats32) -> keras.KerasTensor:
    """(mean over positions - mean) / spread of every channel, in one depthwise convolution with a scale of its own."""
    x = block_output(body, block)
    side = x.shape[1]
    conv = keras.layers.DepthwiseConv2D(side, name=f"{block_name(body, block)}_pool")
    out = conv(x)
    kernel = np.broadcast_to((1 / spread).reshape(1, 1, -1, 1) / side**2, (side, side, mean.size, 1))
    conv.set_weights([kernel.astype(np.float32), (-mean / spread).astype(np.float32)])
    return out


def at_224(network: keras.Model) -> keras.Model:
    """The same for images of 224 x 224: the bilinear resize inside keeps the box's interface as it is."""
    image = keras.Input((SIDE, SIDE, 1), name="image")
    side = network.input.shape[1]
    small = keras.layers.Resizing(side, side, interpolation="bilinear", name="resize")(image)
    return keras.Model(image, network(small), name="edge")
