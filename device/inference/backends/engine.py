"""Engine: the bytes of a network come in; an interpreter that runs it, or the reason why none does, goes out.

LiteRT is asked first, tflite-runtime second. Each is tried by building an interpreter: tflite-runtime 2.14 imports
well under numpy 2 and only then fails.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from console.errors import ExpectedError
from device.host.stderr import filtered_stderr

INTERPRETERS = (("ai-edge-litert", "ai_edge_litert.interpreter"), ("tflite-runtime", "tflite_runtime.interpreter"))
"""Distribution and module, in the order of preference."""
MISFITS = (ImportError, AttributeError, TypeError, ValueError, RuntimeError, OSError)
"""What an interpreter raises when it does not fit the machine has no common type."""
REMEDY = "install one with `pip install 'pneumoflag[device]'`, or `pneumoflag[tflite]` on boards that have only that"


class BackendUnavailable(ExpectedError):
    """This backend cannot run the network here; the words say why and what to do."""


class EngineFault(Exception):
    """The network stopped running, for example because the accelerator vanished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorFacts:
    """What the network says of one of its tensors."""

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
        self.input = _facts(self._input)
        self.outputs = tuple(_facts(detail) for detail in self._outputs)

    def run(self, tensor: NDArray[Any]) -> list[NDArray[np.float32]]:
        """One inference; every output as real numbers, in the network's order. Raises EngineFault."""
        try:
            self._interpreter.set_tensor(self._input["index"], tensor)
            self._interpreter.invoke()
            raw = [self._interpreter.get_tensor(detail["index"]) for detail in self._outputs]
        except (RuntimeError, ValueError) as error:
            raise EngineFault(f"{self.backend}: {error}") from None
        return [_real(values, facts) for values, facts in zip(raw, self.outputs, strict=True)]


def build_engine(
    network: bytes,
    *,
    threads: int,
    backend: str,
    delegate: str | None = None,
) -> Engine:
    """The first interpreter that runs the network. Raises BackendUnavailable naming what each one said."""
    said = []
    for distribution, module_name in INTERPRETERS:
        try:
            module = importlib.import_module(module_name)
            with filtered_stderr():
                delegates = [module.load_delegate(delegate)] if delegate else []
                interpreter = _interpreter(module, network, threads, delegates)
                return Engine(interpreter, distribution=distribution, backend=backend)
        except MISFITS as error:
            said.append(f"{distribution}: {type(error).__name__}: {error}")
    raise BackendUnavailable(f"{backend}: no interpreter runs this network ({'; '.join(said)}); {REMEDY}")


def _interpreter(module: ModuleType, network: bytes, threads: int, delegates: Sequence[Any]) -> Any:
    return module.Interpreter(model_content=network, num_threads=threads, experimental_delegates=list(delegates))


def _facts(detail: dict[str, Any]) -> TensorFacts:
    scale, zero_point = detail["quantization"]
    return TensorFacts(
        shape=tuple(int(n) for n in detail["shape"]),
        dtype=np.dtype(detail["dtype"]).name,
        scale=float(scale),
        zero_point=int(zero_point),
    )


def _real(values: NDArray[Any], facts: TensorFacts) -> NDArray[np.float32]:
    if facts.scale == 0.0:  # a tensor of real numbers carries no scale
        return values.astype(np.float32)
    return (values.astype(np.float32) - np.float32(facts.zero_point)) * np.float32(facts.scale)
