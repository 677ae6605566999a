"""Keep the chatter of native libraries off standard error, where it would bury a command's own messages."""

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
_REDIRECTION = threading.Lock()


@contextmanager
def filtered_stderr() -> Iterator[None]:
    """Drop lines that begin with `INFO:` from standard error; write all other lines at the end.

    Interpreters announce their delegates there and have no setting for it. What other threads write meanwhile is
    treated alike.
    """
    with _REDIRECTION, os.fdopen(os.memfd_create("stderr"), "w+b") as captured:
        try:
            with _stderr_to(captured.fileno()):
                yield
        finally:
            captured.seek(0)
            for line in captured:
                if not line.startswith(CHATTER):
                    os.write(STANDARD_ERROR, line)


@contextmanager
def silenced_output() -> Iterator[None]:
    """Discard standard output and standard error, native libraries included; exceptions still come through.

    TensorFlow writes to the standard error of the process and not to Python's `sys.stderr`.
    """
    with redirect_stdout(io.StringIO()), Path(os.devnull).open("wb") as devnull, _stderr_to(devnull.fileno()):
        yield


@contextmanager
def _stderr_to(descriptor: int) -> Iterator[None]:
    sys.stderr.flush()
    original = os.dup(STANDARD_ERROR)
    os.dup2(descriptor, STANDARD_ERROR)
    try:
        yield
    finally:
        os.dup2(original, STANDARD_ERROR)
        os.close(original)
