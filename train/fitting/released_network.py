"""A released network as the start of further training: a bundle comes in; a network that can be trained goes out.

A bundle holds int8 weights only, with the batch norms folded into them. They are turned back into numbers, and the
batch norms into those of a network that computes the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from console.errors import UsageError
from device.bundle.loader import load_bundle, trusted_keys
from train.fitting.fine_tune import Classifier
from train.networks.efficientnet_lite0 import backbone
from train.recipe import Recipe, edge_network

Floats32 = NDArray[np.float32]
CONVOLUTIONS = (schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D)


class StartError(UsageError):
    """Training cannot start from the bundle; the message says why."""


def released_classifier(bundle: Path, recipe: Recipe) -> Classifier:
    """Return the network of a signed bundle. Raises BundleError, and StartError for a network of another kind."""
    loaded = load_bundle(bundle, trusted_keys())
    spec = loaded.manifest
    side = edge_network(recipe).side
    if spec.outputs.kind != "evidence" or spec.input.shape[1:3] != (side, side):
        raise StartError(
            f"{bundle}: expected an evidence network of {side} x {side} pixels, got {spec.outputs.kind} of "
            f"{spec.input.shape[1]} x {spec.input.shape[2]}; name a bundle that was trained with this recipe"
        )
    return classifier_from_int8(loaded.tflite, side, spec.outputs.bias)


def classifier_from_int8(tflite: bytes, side: int, bias: float) -> Classifier:
    """Return the network of a .tflite file; `bias` is what its manifest adds to the evidence.

    Raises StartError where its convolutions are not EfficientNet-Lite0's.
    """
    body = backbone(size=side)
    convolutions = list(_convolutions(tflite))
    for layer in body.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            kernel, offset = _next(convolutions, layer.get_weights()[0].shape, layer.name)
            layer.set_weights([kernel])
            norm = body.get_layer(_norm_name(layer.name))
            ones = np.ones_like(offset)
            norm.set_weights([ones * np.sqrt(np.float32(1 + norm.epsilon)), offset, 0 * ones, ones])
    share, _ = _next(convolutions, (1, 1, body.output.shape[-1], 1), "share")
    return Classifier(body=body, weight=share.ravel() * body.output.shape[1] * body.output.shape[2], bias=bias)


def _norm_name(convolution: str) -> str:
    stem, _, role = convolution.removesuffix("_conv").rpartition("_")
    number = {"expand": "0", "depthwise": "1", "project": "2"}.get(role)
    return f"{role}_bn" if number is None else f"{stem}_bn{number}"


def _next(
    convolutions: list[tuple[Floats32, Floats32]], shape: tuple[int, ...], name: str
) -> tuple[Floats32, Floats32]:
    """Take the first convolution of this shape; those before it belong to the features and not to the body."""
    for index, (kernel, _) in enumerate(convolutions):
        if kernel.shape == shape:
            return convolutions.pop(index)
    raise StartError(f"the bundle's network has no convolution {name} of shape {shape}; it is another network")


def _convolutions(tflite: bytes) -> Iterator[tuple[Floats32, Floats32]]:
    """Yield kernel (rows, columns, in, out; depthwise: out is 1) and offset (channels,) of each, in order."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(tflite, 0))
    (graph,) = model.subgraphs
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        if max(code.builtinCode, code.deprecatedBuiltinCode) not in CONVOLUTIONS:
            continue
        depthwise = max(code.builtinCode, code.deprecatedBuiltinCode) == schema.BuiltinOperator.DEPTHWISE_CONV_2D
        kernel = _numbers(model, graph.tensors[operator.inputs[1]], np.int8)
        offset = _numbers(model, graph.tensors[operator.inputs[2]], np.int32) if operator.inputs[2] >= 0 else None
        kernel = kernel.transpose(1, 2, 3, 0)
        channels = kernel.shape[2] if depthwise else kernel.shape[3]
        yield kernel, np.zeros(channels, np.float32) if offset is None else offset


def _numbers(model: Any, tensor: Any, dtype: type[np.generic]) -> Floats32:
    levels = np.frombuffer(bytes(model.buffers[tensor.buffer].data), dtype).reshape(tensor.shape)
    scale = np.asarray(tensor.quantization.scale, np.float64)
    if len(scale) > 1:
        shape = [1] * levels.ndim
        shape[tensor.quantization.quantizedDimension or 0] = len(scale)
        scale = scale.reshape(shape)
    numbers: Floats32 = (levels * scale).astype(np.float32)
    return numbers
