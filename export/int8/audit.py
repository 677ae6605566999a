"""Audit: a .tflite comes in; its operators, and why a board might refuse them, go out. It is compiled for Coral here.

The rules are those that Coral publishes for the Edge TPU (coral.ai/docs/edgetpu/models-intro, "Model requirements") and
what tflite-runtime 2.14 was seen to refuse. The Edge TPU's own compiler has the last word where it is installed; the
authors could not run it.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema
from pydantic import TypeAdapter

from console.errors import ExpectedError

EDGE_TPU_OPS = frozenset(
    """
    ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D EXPAND_DIMS FULLY_CONNECTED
    L2_NORMALIZATION LOGISTIC LSTM MAXIMUM MAX_POOL_2D MEAN MINIMUM MUL PACK PAD
    PRELU QUANTIZE REDUCE_MAX REDUCE_MIN RELU RELU6 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR
    RESIZE_NEAREST_NEIGHBOR RSQRT SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SQUARED_DIFFERENCE
    SQUEEZE STRIDED_SLICE SUB SUM TANH TRANSPOSE TRANSPOSE_CONV
    """.split()  # noqa: SIM905  a list of names reads best as text
)
NEWEST_VERSIONS = {"FULLY_CONNECTED": 11}
"""Versions above these are refused by tflite-runtime 2.14."""
INNERMOST = 3
"""The Edge TPU takes tensors of which only so many innermost dimensions are larger than one."""
FILE_IDENTIFIER = b"TFL3"
EIGHT_BIT, BIAS = ("INT8",), ("INT8", "INT32")
COMPILER = "edgetpu_compiler"
COMPILE_S = 300.0


class CompileError(ExpectedError):
    """The Edge TPU's compiler failed; the message ends with its own output."""


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
        return not self.all_objections

    @property
    def all_objections(self) -> tuple[str, ...]:
        """Objections to the network as a whole, then to each operator with its name."""
        of_operators = [f"{operator.name}: {text}" for operator in self.operators for text in operator.objections]
        return (*self.objections, *of_operators)

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {"passed": self.passed, **asdict(self)}


_AUDIT = TypeAdapter(Audit)


def read_audit(content: bytes) -> Audit:
    """Read audit.json, as `to_dict` gave it. Raises ValidationError."""
    return _AUDIT.validate_json(content)


def audit(network: bytes) -> Audit:
    """Check the operators of a .tflite file. Raises ValueError when `network` is not one."""
    if network[4:8] != FILE_IDENTIFIER:
        raise ValueError("not a .tflite file (no TFL3 in its header)")
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(network, 0))
        graph = model.subgraphs[0]
    except (TypeError, IndexError, ValueError, AttributeError, struct.error) as error:
        raise ValueError(f"not a .tflite file ({error})") from None
    operators = tuple(_operator(model, graph, operator) for operator in graph.operators)
    return Audit(bytes=len(network), operators=operators, objections=tuple(_graph_objections(model, graph)))


def compile_for_coral(network: bytes) -> bytes | None:
    """Return the network compiled for the Edge TPU, or None without the compiler. Raises CompileError."""
    compiler = shutil.which(COMPILER)
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory(prefix="pneumoflag-export-") as folder:
        source = Path(folder) / "model.tflite"
        source.write_bytes(network)
        done = subprocess.run(
            [compiler, "-s", "-o", folder, str(source)], capture_output=True, text=True, timeout=COMPILE_S, check=False
        )
        compiled = Path(folder) / "model_edgetpu.tflite"
        if done.returncode != 0 or not compiled.is_file():
            raise CompileError(f"{COMPILER} failed: {(done.stderr or done.stdout).strip()[-500:]}")
        return compiled.read_bytes()


def _graph_objections(model: Any, graph: Any) -> list[str]:
    objections = [] if len(model.subgraphs) == 1 else [f"expected 1 subgraph, got {len(model.subgraphs)}"]
    for role, indices in (("input", graph.inputs), ("output", graph.outputs)):
        for tensor in (graph.tensors[index] for index in indices):
            if _type(tensor) not in EIGHT_BIT:
                objections.append(f"{role}: expected int8, got {_described(tensor)}")
            if _dynamic(tensor) or int(tensor.shape[0]) != 1:
                objections.append(f"{role}: expected a static batch of one, got {_described(tensor)}")
    return objections


def _operator(model: Any, graph: Any, operator: Any) -> Operator:
    code = model.operatorCodes[operator.opcodeIndex]
    name = _NAMES.get(max(code.builtinCode, code.deprecatedBuiltinCode), "CUSTOM")
    inputs = [graph.tensors[index] for index in operator.inputs if index >= 0]
    outputs = [graph.tensors[index] for index in operator.outputs]
    return Operator(
        name=name,
        version=int(code.version),
        inputs=tuple(_described(tensor) for tensor in inputs),
        outputs=tuple(_described(tensor) for tensor in outputs),
        objections=tuple(_operator_objections(model, name, int(code.version), inputs, outputs)),
    )


def _operator_objections(model: Any, name: str, version: int, inputs: list[Any], outputs: list[Any]) -> list[str]:
    objections = [] if name in EDGE_TPU_OPS else [f"{name} is not an operator of the Edge TPU"]
    if version > NEWEST_VERSIONS.get(name, version):
        objections.append(f"version {version} is newer than tflite-runtime 2.14 supports")
    for tensor in (*inputs, *outputs):
        objections += _tensor_objections(tensor, constant=model.buffers[tensor.buffer].data is not None)
    if name == "FULLY_CONNECTED" and len(inputs[1].quantization.scale) > 1:
        objections.append("weights are quantized per channel; expected per tensor")
    return objections


def _tensor_objections(tensor: Any, *, constant: bool) -> list[str]:
    objections = []
    if _dynamic(tensor):
        objections.append(f"{_described(tensor)} has no constant size")
    # Weights are exempt: the kernel of a convolution has four dimensions by its nature.
    if not constant and any(length > 1 for length in _shape(tensor)[:-INNERMOST]):
        objections.append(f"{_described(tensor)} is larger than one outside its {INNERMOST} innermost dimensions")
    # Shapes and axes are int32 constants without a scale; biases are int32 with one.
    if _type(tensor) not in BIAS:
        objections.append(f"{_described(tensor)} is not 8-bit")
    return objections


def _dynamic(tensor: Any) -> bool:
    signature = tensor.shapeSignature
    return signature is not None and any(int(length) < 0 for length in signature)


def _shape(tensor: Any) -> list[int]:
    return [] if tensor.shape is None else [int(length) for length in tensor.shape]


def _type(tensor: Any) -> str:
    return _TYPES.get(tensor.type, str(tensor.type))


def _described(tensor: Any) -> str:
    return f"{_type(tensor).lower()}{_shape(tensor)}"


def _constants(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


_NAMES, _TYPES = _constants(schema.BuiltinOperator), _constants(schema.TensorType)
