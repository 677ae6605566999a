"""Clock: nothing comes in; the wall time in UTC, and whether NTP vouches for it, goes out."""

from __future__ import annotations

import ctypes
import os
from datetime import UTC, datetime
from pathlib import Path

from device.contract import Clock

TIMESYNC_MARK = Path("/run/systemd/timesync/synchronized")
_TIMEX_BYTES = 512
"""More than `struct timex` has on any Linux; its first field, `modes`, stays 0: read only."""
_UNSYNCHRONISED = 5
"""TIME_ERROR, see adjtimex(2)."""


def utc_now() -> datetime:
    """The box's wall clock."""
    return datetime.now(UTC)


def reading() -> Clock:
    """The time as it stands in a result."""
    return Clock(at=utc_now(), trusted=trusted())


def trusted() -> bool:
    """Whether the kernel's clock is disciplined by NTP, or systemd-timesyncd has set it since the start."""
    return _kernel_says() or TIMESYNC_MARK.exists()


def _kernel_says() -> bool:
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return False
    state: int = adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return 0 <= state != _UNSYNCHRONISED


def boot_id() -> str:
    """Which start of the machine this is, 32 hex digits; a random one where the kernel tells none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip().replace("-", "")
    except OSError:
        return os.urandom(16).hex()
