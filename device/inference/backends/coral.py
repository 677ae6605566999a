"""Coral: a bundle's network compiled for the Edge TPU comes in; an engine on the stick or board goes out.

A network that was not compiled would run on the CPU under the delegate without a word, so it is refused here.
Not run by the authors on a Coral yet; the golden inputs decide on each box whether its answers are trusted.
"""

from __future__ import annotations

import ctypes

from device.bundle.loader import EDGETPU_MODEL, Bundle
from device.inference.backends.engine import BackendUnavailable, Engine, build_engine

NAME = "edgetpu"
LIBRARY = "libedgetpu.so.1"


def open_engine(bundle: Bundle, *, threads: int) -> Engine:
    """Raises BackendUnavailable without the library, the compiled network or the device."""
    _load_library()
    if bundle.edgetpu is None:
        raise BackendUnavailable(
            f"{NAME}: the bundle holds no {EDGETPU_MODEL}; build it where edgetpu_compiler is on the PATH"
        )
    return build_engine(bundle.edgetpu, threads=threads, backend=NAME, delegate=LIBRARY)


def _load_library() -> None:
    # Asked of the linker first: the interpreters' own loader leaves a broken object behind when this fails.
    try:
        ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise BackendUnavailable(f"{NAME}: {error}; install Coral's libedgetpu1-std, or set backend: cpu") from None
