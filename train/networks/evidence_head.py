"""The evidence head: a network whose logit is the sum of a map, with features that tell images out of distribution.

The logit is linear in the means of the last feature map over its positions. So each position's share of it is exact:
the map is weighed to one channel, and the shares add up to the logit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from train.networks.efficientnet_lite0 import BLOCKS, block_name, block_output

Floats32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standard:
    """`mean` and `spread` of a block's channel means over training images, each float32 (channels,)."""

    mean: Floats32
    spread: Floats32


def evidence_network(body: keras.Model, weight: Floats32, standards: Mapping[int, Standard]) -> keras.Model:
    """Image (n, size, size, 1) to [evidence (n, side, side, 1), features (n, 1, 1, channels) of each block].

    `weight`, float32 (channels,), is what the mean of each channel of the last map counts in the logit. `standards` are
    those of the blocks whose features are asked for.
    """
    x = block_output(body, BLOCKS)
    share = keras.layers.Conv2D(1, 1, use_bias=False, name=f"{block_name(body, BLOCKS)}_share")
    evidence = share(x)
    share.set_weights([weight.reshape(1, 1, -1, 1).astype(np.float32) / (x.shape[1] * x.shape[2])])
    pools = [standard_means(body, block, standard) for block, standard in standards.items()]
    return keras.Model(body.input, [evidence, *pools], name="edge")


def evidence_weight(network: keras.Model) -> Floats32:
    """Return the `weight` that `evidence_network` was given."""
    (kernel,) = network.get_layer(f"{block_name(network, BLOCKS)}_share").get_weights()
    weight: Floats32 = kernel[0, 0, :, 0] * (network.outputs[0].shape[1] * network.outputs[0].shape[2])
    return weight


def standard_means(body: keras.Model, block: int, standard: Standard) -> keras.KerasTensor:
    """(mean over positions - mean) / spread of every channel, in one depthwise convolution with a scale of its own."""
    x = block_output(body, block)
    side = x.shape[1]
    conv = keras.layers.DepthwiseConv2D(side, name=f"{block_name(body, block)}_pool")
    out = conv(x)
    mean, spread = standard.mean, standard.spread
    kernel = np.broadcast_to((1 / spread).reshape(1, 1, -1, 1) / side**2, (side, side, mean.size, 1))
    conv.set_weights([kernel.astype(np.float32), (-mean / spread).astype(np.float32)])
    return out
