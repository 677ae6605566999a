"""Audit: a .tflite comes in; its operators and what boards would object to go out.

The rules are those that Coral publishes for the Edge TPU (coral.ai/docs/edgetpu/models-intro, "Model requirements") and
what tflite-runtime 2.14 was seen to refuse. The Edge TPU's own compiler, where it is at hand, has the last word.
"""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass
from typing import Any

from ai_edge_litert import schema_py_generated as schema

EDGE_TPU_OPS = frozenset(
    {
        "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "EXPAND_DIMS", "FULLY_CONNECTED",
        "L2_NORMALIZATION", "LOGISTIC", "LSTM", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MUL", "PACK", "PAD",
        "PRELU", "QUANTIZE", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6", "RELU_N1_TO_1", "RESHAPE", "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR", "RSQRT", "SLICE", "SOFTMAX", "SPACE_TO_DEPTH", "SPLIT", "SQUARED_DIFFERENCE",
        "SQUEEZE", "STRIDED_SLICE", "SUB", "SUM", "TANH", "TRANSPOSE", "TRANSPOSE_CONV",
    }
)  # fmt: skip
NEWEST_VERSIONS = {"FULLY_CONNECTED": 11}
"""Versions above these are refused by tflite-runtime 2.14."""
INNERMOST = 3
"""The Edge TPU takes tensors of which only so many innermost dimensions are larger than one."""
FILE_IDENTIFIER = b"TFL3"
EIGHT_BIT, BIAS = ("INT8",), ("INT8", "INT32")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One operator, in the order of the network. `objections` is empty when every board takes it."""

    name: str
    version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    objections: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """A network's operators and the objections to it as a whole."""

    bytes: int
    operators: tuple[Operator, ...]
    objections: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing was objected to."""
        return not self.objections and not any(operator.objections for operator in self.operators)

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {"passed": self.passed, **asdict(self)}


def audit(network: bytes) -> Audit:
    """Read the flatbuffer. Raises ValueError when it is none."""
    if network[4:8] != FILE_IDENTIFIER:
        raise ValueError("not a .tflite file (no TFL3 in its head)")
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(network, 0))
        graph = model.subgraphs[0]
    except (TypeError, IndexError, ValueError, AttributeError, struct.error) as error:
        raise ValueError(f"not a .tflite file ({error})") from None
    operators = tuple(_operator(model, graph, operator) for operator in graph.operators)
    return Audit(bytes=len(network), operators=operators, objections=tuple(_whole(model, graph)))


def _whole(model: Any, graph: Any) -> list[str]:
    found = [] if len(model.subgraphs) == 1 else [f"{len(model.subgraphs)} subgraphs, one expected"]
    for kind, indices in (("input", graph.inputs), ("output", graph.outputs)):
        for tensor in (graph.tensors[index] for index in indices):
            if _type(tensor) not in EIGHT_BIT:
                found.append(f"{kind} {_words(tensor)}: int8 expected")
            if _dynamic(tensor) or int(tensor.shape[0]) != 1:
                found.append(f"{kind} {_words(tensor)}: a static batch of one expected")
    return found


def _operator(model: Any, graph: Any, operator: Any) -> Operator:
    code = model.operatorCodes[operator.opcodeIndex]
    name = _NAMES.get(max(code.builtinCode, code.deprecatedBuiltinCode), "CUSTOM")
    inputs = [graph.tensors[index] for index in operator.inputs if index >= 0]
    outputs = [graph.tensors[index] for index in operator.outputs]
    return Operator(
        name=name,
        version=int(code.version),
        inputs=tuple(_words(tensor) for tensor in inputs),
        outputs=tuple(_words(tensor) for tensor in outputs),
        objections=tuple(_objections(model, name, int(code.version), inputs, outputs)),
    )


def _objections(model: Any, name: str, version: int, inputs: list[Any], outputs: list[Any]) -> list[str]:
    found = [] if name in EDGE_TPU_OPS else [f"{name} is not an operator of the Edge TPU"]
    if version > NEWEST_VERSIONS.get(name, version):
        found.append(f"version {version} is newer than tflite-runtime 2.14 takes")
    for tensor in (*inputs, *outputs):
        found += _tensor_objections(tensor, constant=model.buffers[tensor.buffer].data is not None)
    if name == "FULLY_CONNECTED" and len(inputs[1].quantization.scale) > 1:
        found.append("weights are quantized per channel, per tensor expected")
    return found


def _tensor_objections(tensor: Any, *, constant: bool) -> list[str]:
    found = []
    if _dynamic(tensor):
        found.append(f"{_words(tensor)} has no constant size")
    # Weights are exempt: the kernel of a convolution has four dimensions by its nature.
    if not constant and any(length > 1 for length in _shape(tensor)[:-INNERMOST]):
        found.append(f"{_words(tensor)} is larger than one outside its {INNERMOST} innermost dimensions")
    # Shapes and axes are int32 constants without a scale; biases are int32 with one.
    if _type(tensor) not in BIAS:
        found.append(f"{_words(tensor)} is not 8-bit")
    return found


def _dynamic(tensor: Any) -> bool:
    signature = tensor.shapeSignature
    return signature is not None and any(int(length) < 0 for length in signature)


def _shape(tensor: Any) -> list[int]:
    return [] if tensor.shape is None else [int(length) for length in tensor.shape]


def _type(tensor: Any) -> str:
    return _TYPES.get(tensor.type, str(tensor.type))


def _words(tensor: Any) -> str:
    return f"{_type(tensor).lower()}{_shape(tensor)}"


def _constants(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


_NAMES, _TYPES = _constants(schema.BuiltinOperator), _constants(schema.TensorType)
