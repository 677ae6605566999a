"""Cross-layer equalization: the same function in a form that int8 keeps better.

Two steps without training, after Nagel et al., Data-Free Quantization (2019, arXiv:1906.04721), here with images.
Channels are scaled to fill the range that their tensor shares, which linear layers and ReLU6 below its clip undo
exactly; then each batch norm's offset is shifted so that rounded weights leave the mean of every channel where it was.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from train.networks.efficientnet_lite0 import BLOCKS, STAGES, block_name

Floats32 = NDArray[np.float32]
CLIP = 6.0
RANGE_IMAGES = 64
"""Images that tell the ranges of channels."""
HEADROOM = 1.25
"""ReLU6 clips a scaled channel only where it was that much above all of the calibration images."""
MOST = 8.0
"""No channel is stretched further: a range seen on few images is no certain range."""
LEAST_RANGE = 1e-3
WEIGHT_STEPS = 127
DEPTHWISE, ORDINARY = (0, 1, 3), (0, 1, 2)
"""Axes of a kernel that share a step of int8: all but its outputs."""


def equalize_for_int8(network: keras.Model, images: Floats32) -> None:
    """Both steps, in place, by at most twice RANGE_IMAGES of the images."""
    some = images[:: max(1, len(images) // RANGE_IMAGES)]
    equalize(network, some)
    correct_offsets(network, some)


def fake_quantized(network: keras.Model) -> None:
    """Round every kernel in place to int8's steps: quantizing the network then changes none."""
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            layer.set_weights(_rounded(layer))


def equalize(network: keras.Model, images: Floats32) -> None:
    """Scale channels of `network` (see `evidence_network`) in place. `images` as it takes them.

    Blocks that nothing reads are not in the network.
    """
    pairs = [("stem_bn", ["block0_depthwise_conv"])]
    for index in range(BLOCKS):
        inner = [f"block{index}_depthwise_conv"]
        pairs += [(f"block{index}_bn0", inner)] if index else []
        pairs.append((f"block{index}_bn1", [f"block{index}_project_conv"]))
    pairs.append(("head_bn", _taps(network, BLOCKS)))
    names = _names(network)
    _fill_clipped(network, [(norm, readers) for norm, readers in pairs if norm in names], images)
    _fill_linear(network, images)


def _names(network: keras.Model) -> set[str]:
    return {layer.name for layer in network.layers}


def _taps(network: keras.Model, block: int) -> list[str]:
    """The layers of the head that read a block."""
    names = _names(network)
    return [name for end in ("share", "pool") if (name := f"{block_name(network, block)}_{end}") in names]


def _fill_clipped(network: keras.Model, pairs: Sequence[tuple[str, list[str]]], images: Floats32) -> None:
    ranges = _ranges(network, [f"{norm}_relu" for norm, _ in pairs], images)
    for (norm, readers), top in zip(pairs, ranges, strict=True):
        _stretch(network, [norm], readers, np.clip(CLIP / np.maximum(HEADROOM * top, LEAST_RANGE), 1.0, MOST))


def _fill_linear(network: keras.Model, images: Floats32) -> None:
    """Blocks of a stage are added to each other, so they share their channels' scales."""
    names = _names(network)
    starts = np.cumsum([0, *(stage[0] for stage in STAGES)]).tolist()
    for first, end in itertools.pairwise(starts):
        blocks = [index for index in range(first, end) if f"block{index}_bn2" in names]
        if not blocks:
            continue
        norms = [f"block{index}_bn2" for index in blocks]
        convs = [f"block{index}_expand_conv" for index in range(first + 1, min(end + 1, BLOCKS))]
        readers = [name for name in [*convs, *(["head_conv"] if end == BLOCKS else [])] if name in names]
        readers += [name for index in blocks for name in _taps(network, index)]
        sums = [block_name(network, index) for index in blocks]
        top = np.maximum.reduce(_ranges(network, list(dict.fromkeys([*norms, *sums])), images)) + LEAST_RANGE
        _stretch(network, norms, readers, np.clip(top.max() / top, 1.0, MOST))


def _ranges(network: keras.Model, names: Sequence[str], images: Floats32) -> list[Floats32]:
    """Largest absolute value of every channel of each layer."""
    tops = [keras.ops.max(keras.ops.abs(network.get_layer(name).output), axis=(1, 2)) for name in names]
    maxima = keras.Model(network.input, tops)(images, training=False)  # once each: no graph is worth its tracing
    return [np.asarray(part).max(axis=0) for part in (maxima if isinstance(maxima, list | tuple) else [maxima])]


def _stretch(network: keras.Model, norms: Sequence[str], readers: Sequence[str], by: Floats32) -> None:
    for name in norms:
        gamma, beta, mean, variance = network.get_layer(name).get_weights()
        network.get_layer(name).set_weights([gamma * by, beta * by, mean, variance])
    for name in readers:
        kernel, *rest = network.get_layer(name).get_weights()
        network.get_layer(name).set_weights([kernel / by[None, None, :, None], *rest])


def correct_offsets(network: keras.Model, images: Floats32) -> None:
    """Shift each batch norm's offset in place so that rounded kernels keep each channel's mean over `images`."""
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    convs = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D)]
    means = keras.Model(network.input, [keras.ops.mean(norm.output, axis=(0, 1, 2)) for norm in norms])
    look = tf.function(lambda images: means(images, training=False))
    wanted = [np.asarray(mean) for mean in look(images)]
    kept = [layer.get_weights() for layer in convs]
    for layer in convs:
        layer.set_weights(_rounded(layer))
    for index, norm in enumerate(norms):  # from the image on: what is put right before shows in what comes after
        gamma, beta, mean, variance = norm.get_weights()
        norm.set_weights([gamma, beta + wanted[index] - np.asarray(look(images)[index]), mean, variance])
    for layer, weights in zip(convs, kept, strict=True):
        layer.set_weights(weights)


def _rounded(layer: keras.layers.Layer) -> list[Floats32]:
    kernel, *rest = layer.get_weights()
    axes = DEPTHWISE if isinstance(layer, keras.layers.DepthwiseConv2D) else ORDINARY
    largest = np.abs(kernel).max(axis=axes, keepdims=True)
    step = np.where(largest > 0, largest, 1) / WEIGHT_STEPS
    return [(np.rint(kernel / step) * step).astype(np.float32), *rest]
