"""SIGINT and SIGTERM as a flag that the demonstration checks wherever it waits.

A handler that raises may interrupt any statement, also the one that records a process or thread just started. What
was started would then never be ended.
"""

from __future__ import annotations

import signal
import time
from types import FrameType

# A list, because appending is safe in a handler; setting a threading.Event may deadlock there.
_received: list[int] = []


def catch_signals() -> None:
    """Record SIGINT and SIGTERM from now on, instead of raising or ending the process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _record)


def _record(number: int, _frame: FrameType | None) -> None:
    _received.append(number)


def check() -> None:
    """Raise KeyboardInterrupt when a signal has come."""
    if _received:
        raise KeyboardInterrupt


def sleep(seconds: float) -> None:
    """Wait; raise KeyboardInterrupt within a tenth of a second of a signal."""
    end_s = time.monotonic() + seconds
    check()
    while (left_s := end_s - time.monotonic()) > 0:
        time.sleep(min(left_s, 0.1))
        check()
