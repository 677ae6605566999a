"""The box's clock: the time in UTC, and whether it is synchronized by NTP."""

from __future__ import annotations

import ctypes
import os
from datetime import UTC, datetime
from pathlib import Path

from device.contract import Clock

TIMESYNC_FILE = Path("/run/systemd/timesync/synchronized")
_TIMEX_BYTES = 512
"""More than `struct timex` has on any Linux; its first field, `modes`, stays 0: read only."""
_UNSYNCHRONIZED = 5
"""TIME_ERROR, see adjtimex(2)."""


def utc_now() -> datetime:
    """Return the time of the box's wall clock."""
    return datetime.now(UTC)


def read_clock() -> Clock:
    """Return the time in the form that results have."""
    return Clock(at=utc_now(), trusted=is_trusted())


def is_trusted() -> bool:
    """Return whether NTP disciplines the kernel's clock, or systemd-timesyncd has set it since the start."""
    return _kernel_is_synchronized() or TIMESYNC_FILE.exists()


def _kernel_is_synchronized() -> bool:
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return False
    state: int = adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return 0 <= state != _UNSYNCHRONIZED


def boot_id() -> str:
    """Return the identifier of this start of the machine, 32 hex digits; a random one where the kernel has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip().replace("-", "")
    except OSError:
        return os.urandom(16).hex()
