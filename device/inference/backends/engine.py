"""Run the bytes of a network in an interpreter, on the CPU or with a delegate for an accelerator.

LiteRT is tried first, tflite-runtime second. Each is tried by building an interpreter, because tflite-runtime 2.14
imports without error under numpy 2 and only then fails.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from console.errors import ExpectedError
from device.bundle.loader import Bundle
from device.host.stderr import filtered_stderr

INTERPRETERS = (("ai-edge-litert", "ai_edge_litert.interpreter"), ("tflite-runtime", "tflite_runtime.interpreter"))
"""Distribution and module, in the order of preference."""
INTERPRETER_ERRORS = (ImportError, AttributeError, TypeError, ValueError, RuntimeError, OSError)
"""What an interpreter raises when it cannot run here; there is no common type."""
REMEDY = "install one with `pip install 'pneumoflag[device]'`, or `pneumoflag[tflite]` on boards that have only that"


CPU = "cpu"


class BackendUnavailable(ExpectedError):
    """This backend cannot run the network here; the message says why and what to do."""


class EngineFault(Exception):
    """The network stopped running, for example because the accelerator vanished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """Shape, dtype and quantization of one of the network's tensors; `scale` is 0 for a float tensor."""

    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


class Engine:
    """One network in one interpreter. Not safe for use by two threads at once."""

    def __init__(self, interpreter: Any, *, distribution: str, backend: str) -> None:
        self.interpreter_name = distribution
        self.version = version(distribution)
        self.backend = backend
        self._interpreter = interpreter
        interpreter.allocate_tensors()
        self._input = interpreter.get_input_details()[0]
        self._outputs = interpreter.get_output_details()
        self.input = _tensor_spec(self._input)
        self.outputs = tuple(_tensor_spec(detail) for detail in self._outputs)

    def run(self, tensor: NDArray[Any]) -> list[NDArray[np.float32]]:
        """Run one inference and return every output dequantized, in the network's order. Raises EngineFault."""
        try:
            self._interpreter.set_tensor(self._input["index"], tensor)
            self._interpreter.invoke()
            raw = [self._interpreter.get_tensor(detail["index"]) for detail in self._outputs]
        except (RuntimeError, ValueError) as error:
            raise EngineFault(f"{self.backend}: {error}") from None
        return [_dequantized(values, spec) for values, spec in zip(raw, self.outputs, strict=True)]


def open_cpu_engine(bundle: Bundle, *, threads: int) -> Engine:
    """Return an engine on the CPU, the reference for every other backend. Raises BackendUnavailable."""
    return build_engine(bundle.tflite, threads=threads, backend=CPU)


def build_engine(
    network: bytes,
    *,
    threads: int,
    backend: str,
    delegate: str | None = None,
) -> Engine:
    """Return the first interpreter that runs the network. Raises BackendUnavailable with the error of each."""
    errors = []
    for distribution, module_name in INTERPRETERS:
        try:
            module = importlib.import_module(module_name)
            with filtered_stderr():
                delegates = [module.load_delegate(delegate)] if delegate else []
                interpreter = module.Interpreter(
                    model_content=network, num_threads=threads, experimental_delegates=delegates
                )
                return Engine(interpreter, distribution=distribution, backend=backend)
        except INTERPRETER_ERRORS as error:
            errors.append(f"{distribution}: {type(error).__name__}: {error}")
    raise BackendUnavailable(f"{backend}: no interpreter runs this network ({'; '.join(errors)}); {REMEDY}")


def _tensor_spec(detail: dict[str, Any]) -> TensorSpec:
    scale, zero_point = detail["quantization"]
    return TensorSpec(
        shape=tuple(int(n) for n in detail["shape"]),
        dtype=np.dtype(detail["dtype"]).name,
        scale=float(scale),
        zero_point=int(zero_point),
    )


def _dequantized(values: NDArray[Any], spec: TensorSpec) -> NDArray[np.float32]:
    if spec.scale == 0.0:
        return values.astype(np.float32)
    return (values.astype(np.float32) - np.float32(spec.zero_point)) * np.float32(spec.scale)
