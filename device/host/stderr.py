"""Hush: what a native library writes on standard error comes in; all but its chatter goes out."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

CHATTER = b"INFO:"
STANDARD_ERROR = 2
_ONE = threading.Lock()


@contextmanager
def hushed() -> Iterator[None]:
    """Lines that begin with `INFO:` are left out, others follow at the end.

    Interpreters tell of their delegates there and have no setting for it; a command's errors must stand alone. What
    other threads write meanwhile follows too.
    """
    with _ONE, os.fdopen(os.memfd_create("said"), "w+b") as said:
        sys.stderr.flush()
        kept = os.dup(STANDARD_ERROR)
        os.dup2(said.fileno(), STANDARD_ERROR)
        try:
            yield
        finally:
            os.dup2(kept, STANDARD_ERROR)
            os.close(kept)
            said.seek(0)
            for line in said:
                if not line.startswith(CHATTER):
                    os.write(STANDARD_ERROR, line)


@contextmanager
def quiet() -> Iterator[None]:
    """TensorFlow writes to the process's own standard error, past Python's; exceptions still come through."""
    sys.stderr.flush()
    with redirect_stdout(io.StringIO()), Path(os.devnull).open("wb") as void:
        kept = os.dup(STANDARD_ERROR)
        os.dup2(void.fileno(), STANDARD_ERROR)
        try:
            yield
        finally:
            os.dup2(kept, STANDARD_ERROR)
            os.close(kept)
