"""EfficientNet-Lite0 over one grey channel, with ImageNet weights.

Takes float32 (n, side, side, 1), `(grey - 127) / 255`: int8 with a scale of 1/255 loses nothing of an 8-bit image.
Architecture: Tan and Le, EfficientNet (2019, arXiv:1905.11946), the Lite variant: no squeeze-and-excitation, ReLU6.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""(blocks, kernel, stride, expansion, filters)."""
BLOCKS = sum(stage[0] for stage in STAGES)
STEM_FILTERS, HEAD_FILTERS = 32, 1280
IMAGENET = Path(__file__).parents[1] / "weights" / "lite0-imagenet.npz"
"""Made by `pneumoflag-train convert-weights`; see the README beside it."""


def backbone(*, size: int) -> keras.Model:
    """Return the network up to its last feature map, (n, size / 32, size / 32, 1280)."""
    inputs = keras.Input((size, size, 1), name="small_image")
    x = _conv_bn(inputs, STEM_FILTERS, kernel=3, stride=2, conv="stem_conv", bn="stem_bn")
    index = 0
    for repeats, kernel, stride, expand, filters in STAGES:
        for repeat in range(repeats):
            x = _block(x, index, kernel, stride if repeat == 0 else 1, expand=expand, filters=filters)
            index += 1
    x = _conv_bn(x, HEAD_FILTERS, kernel=1, stride=1, conv="head_conv", bn="head_bn")
    return keras.Model(inputs, x, name="efficientnet_lite0")


def _conv_bn(
    x: keras.KerasTensor, filters: int, *, kernel: int, stride: int, conv: str, bn: str, relu: bool = True
) -> keras.KerasTensor:
    x = keras.layers.Conv2D(filters, kernel, stride, "same", use_bias=False, name=conv)(x)
    x = keras.layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=bn)(x)
    return keras.layers.ReLU(6.0, name=f"{bn}_relu")(x) if relu else x


def _block(
    x: keras.KerasTensor, index: int, kernel: int, stride: int, *, expand: int, filters: int
) -> keras.KerasTensor:
    """An inverted residual (Sandler et al. 2018): widen, convolve each channel, narrow; add the input if it fits."""
    name, inputs, width = f"block{index}", x, x.shape[-1]
    if expand != 1:
        conv = f"{name}_expand_conv"
        x = _conv_bn(x, width * expand, kernel=1, stride=1, conv=conv, bn=f"{name}_bn0")
    conv = f"{name}_depthwise_conv"
    x = keras.layers.DepthwiseConv2D(kernel, stride, "same", use_bias=False, name=conv)(x)
    x = keras.layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=f"{name}_bn1")(x)
    x = keras.layers.ReLU(6.0, name=f"{name}_bn1_relu")(x)
    x = _conv_bn(x, filters, kernel=1, stride=1, conv=f"{name}_project_conv", bn=f"{name}_bn2", relu=False)
    if stride == 1 and width == filters:
        x = keras.layers.Add(name=f"{name}_add")([x, inputs])
    return x


def block_name(model: keras.Model, index: int) -> str:
    """The layer whose output is that of block `index`, from 0; BLOCKS stands for the last map."""
    if index == BLOCKS:
        return "head_bn_relu"
    added = f"block{index}_add"
    return added if any(layer.name == added for layer in model.layers) else f"block{index}_bn2"


def block_output(model: keras.Model, index: int) -> keras.KerasTensor:
    """What block `index` gives, (n, rows, columns, channels)."""
    return model.get_layer(block_name(model, index)).output


def load_imagenet(model: keras.Model, weights: Path = IMAGENET) -> None:
    """Fill a backbone from a converted file. Raises KeyError naming the array that is missing, ValueError by shape."""
    with np.load(weights) as arrays:
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                parts = ("weight", "bias", "running_mean", "running_var")
                layer.set_weights([arrays[f"{layer.name}/{part}"].astype(np.float32) for part in parts])
            elif isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
                layer.set_weights([arrays[f"{layer.name}/weight"].astype(np.float32)])
