"""Disk: an error comes in; whether the disk is full goes out. And the ballast, which a full disk is given back."""

from __future__ import annotations

import errno
import os
from pathlib import Path

FULL_ERRNOS = {errno.ENOSPC, errno.EDQUOT}


class Ballast:
    """A file of `size_bytes` (0: none) whose only use is to be deleted when the disk is full."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path, self._size_bytes = path, size_bytes

    def lay(self) -> None:
        """Put it there while there is room; without room it stays away."""
        if not self._size_bytes or self._path.exists():
            return
        disk = os.statvfs(self._path.parent)
        if disk.f_bavail * disk.f_frsize < 4 * self._size_bytes:
            return
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size_bytes)
        except OSError:
            self.free()

    def free(self) -> None:
        """Give its room back."""
        self._path.unlink(missing_ok=True)
