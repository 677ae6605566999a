"""CPU: a bundle's network comes in; an engine on the processor goes out. The reference for every other backend."""

from __future__ import annotations

from device.bundle.loader import Bundle
from device.inference.backends.engine import Engine, build_engine

NAME = "cpu"


def open_engine(bundle: Bundle, *, threads: int) -> Engine:
    """Raises BackendUnavailable when no interpreter is installed that runs the network."""
    return build_engine(bundle.tflite, threads=threads, backend=NAME)
