"""The Edge TPU of a Coral stick or board.

A network that was not compiled for it would run on the CPU without an error, so it is refused here. Not run on a
Coral yet: the golden inputs decide on each box whether its outputs are trusted.
"""

from __future__ import annotations

import ctypes

from device.bundle.loader import EDGETPU_MODEL, Bundle
from device.inference.backends.engine import BackendUnavailable, Engine, build_engine

NAME = "edgetpu"
LIBRARY = "libedgetpu.so.1"


def open_engine(bundle: Bundle, *, threads: int) -> Engine:
    """Return an engine on the Edge TPU; `threads` serve the operations that were not compiled for it.

    Raises BackendUnavailable without the library, a compiled network or a device.
    """
    # The interpreter's own loader leaves a broken object behind when this fails.
    try:
        ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise BackendUnavailable(f"{NAME}: {error}; install Coral's libedgetpu1-std, or set backend: cpu") from None
    if bundle.edgetpu is None:
        raise BackendUnavailable(
            f"{NAME}: the bundle has no {EDGETPU_MODEL}; build it where edgetpu_compiler is on the PATH"
        )
    return build_engine(bundle.edgetpu, threads=threads, backend=NAME, delegate=LIBRARY)
