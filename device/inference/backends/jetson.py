"""Jetson: a bundle's network comes in; an engine on the Jetson's ARM cores goes out.

It is the CPU engine, and results say `cpu`: the int8 network needs less than a millisecond there, so the GPU is left
alone. A GPU engine would stand here.
"""

from __future__ import annotations

from device.bundle.loader import Bundle
from device.inference.backends import cpu
from device.inference.backends.engine import Engine

NAME = cpu.NAME


def open_engine(bundle: Bundle, *, threads: int) -> Engine:
    """Raises BackendUnavailable when no interpreter is installed that runs the network."""
    return cpu.open_engine(bundle, threads=threads)
