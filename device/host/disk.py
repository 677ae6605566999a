"""Disk space: which errors mean a full disk, and a ballast file that can be deleted then."""

from __future__ import annotations

import errno
import os
from pathlib import Path

FULL_ERRNOS = {errno.ENOSPC, errno.EDQUOT}


class Ballast:
    """A file of `size_bytes` (0: none) whose only use is to be deleted when the disk is full."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path, self._size_bytes = path, size_bytes

    def create(self) -> None:
        """Create the file if there is ample space for it."""
        if not self._size_bytes or self._path.exists():
            return
        disk = os.statvfs(self._path.parent)
        if disk.f_bavail * disk.f_frsize < 4 * self._size_bytes:
            return
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size_bytes)
        except OSError:
            self.delete()

    def delete(self) -> None:
        """Free the space."""
        self._path.unlink(missing_ok=True)
