"""Quiet: a block of foreign code comes in; what it does goes out without its diary on the screen."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

STDERR_FD = 2


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """TensorFlow writes to the process's own standard error, past Python's; exceptions still come through."""
    sys.stderr.flush()
    with contextlib.redirect_stdout(io.StringIO()), Path(os.devnull).open("wb") as void:
        kept = os.dup(STDERR_FD)
        os.dup2(void.fileno(), STDERR_FD)
        try:
            yield
        finally:
            os.dup2(kept, STDERR_FD)
            os.close(kept)
