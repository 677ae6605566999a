"""Folder receiver: finished files of a watched folder come in; exposures in the spool go out.

A file that has been taken is moved away or deleted.

A file is finished when size and time have not changed for `settle_s`, as seen here: clocks of file servers differ, so
how old a file says it is proves nothing. A file renamed into place is seen whole and merely waits as long.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from device.config import FolderConfig
from device.contract import Source
from device.host.alarms import Alarms
from device.receive.spool import Spool, SpoolFull

log = logging.getLogger(__name__)

RECEIVED = "received"
UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload")
CHUNK_BYTES = 1024 * 1024
IMAGE_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """A file as it was seen."""

    inode: int
    size_bytes: int
    modified_ns: int


class FolderReceiver:
    """One watched folder with its subfolders. `step` is one look at it."""

    def __init__(
        self,
        folder: Path,
        config: FolderConfig,
        spool: Spool,
        alarms: Alarms,
        *,
        max_file_bytes: int,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._config, self._spool, self._alarms = folder, config, spool, alarms
        self._max_file_bytes, self._clock_s = max_file_bytes, clock_s
        self._since_s: dict[Path, tuple[_Look, float]] = {}
        self._stuck: dict[Path, _Look] = {}
        self._unlisted: list[OSError] = []

    def step(self) -> int:
        """Take every finished file; returns how many."""
        self._unlisted = []
        try:
            seen = dict(self._looks())
        except OSError as error:
            self._alarms.set("folder", f"{self._folder} cannot be listed ({error.strerror})")
            return 0
        self._report_unlisted()
        self._since_s = {path: self._since(path, look) for path, look in seen.items()}
        self._stuck = {path: look for path, look in self._stuck.items() if seen.get(path) == look}
        if not self._stuck:
            self._alarms.clear("folder")
        settled_s = self._clock_s() - self._config.settle_s
        finished = [path for path, (_, s) in self._since_s.items() if s <= settled_s and path not in self._stuck]
        return sum(self._take(path) for path in sorted(finished, key=lambda path: seen[path].modified_ns))

    def run(self, stop: Event, beat: Callable[[], None] = lambda: None) -> None:
        """Until `stop` is set."""
        while not stop.is_set():
            self.step()
            beat()
            stop.wait(self._config.poll_s)

    def _looks(self) -> Iterator[tuple[Path, _Look]]:
        for folder, folders, names in os.walk(self._folder, onerror=self._on_unlisted):
            # Links are not followed, and what was received is not received again.
            folders[:] = [name for name in folders if not name.startswith(".") and name != RECEIVED]
            for name in names:
                if not name.startswith(".") and not name.lower().endswith(UNFINISHED):
                    yield from _look(Path(folder, name))

    def _on_unlisted(self, error: OSError) -> None:
        """Without the watched folder itself there is nothing; a subfolder must not stop its neighbours."""
        if error.filename is None or Path(error.filename) == self._folder:
            raise error
        if not isinstance(error, FileNotFoundError):  # gone between the listing and the look
            self._unlisted.append(error)

    def _report_unlisted(self) -> None:
        if self._unlisted:
            # How many and why: a subfolder's name may be a patient's, too.
            why = f"errno {self._unlisted[0].errno}"
            self._alarms.set("subfolder", f"{self._folder}: {len(self._unlisted)} subfolders cannot be listed ({why})")
        else:
            self._alarms.clear("subfolder")

    def _since(self, path: Path, look: _Look) -> tuple[_Look, float]:
        before = self._since_s.get(path)
        return before if before and before[0] == look else (look, self._clock_s())

    def _take(self, path: Path) -> bool:
        look = self._since_s[path][0]
        try:
            if not self._copy(path, look):
                return False
        except SpoolFull as error:
            self._alarms.set("exposure_refused", str(error))
            return False
        except OSError as error:
            self._set_aside(path, look, error, "cannot be read")
            return False
        try:
            self._put_away(path, look)
        except OSError as error:
            self._set_aside(path, look, error, "was received but cannot be moved away")
        return True

    def _copy(self, path: Path, look: _Look) -> bool:
        """Spool it durably; False when it changed while it was read."""
        with path.open("rb") as file, self._spool.open() as writer:
            head = file.read(CHUNK_BYTES)
            writer.write(head)
            # A byte above the limit is enough for the gate to answer `too_large`.
            while writer.size_bytes <= self._max_file_bytes and (chunk := file.read(CHUNK_BYTES)):
                writer.write(chunk)
            if dict(_look(path)).get(path) != look:
                self._since_s.pop(path, None)
                return False
            # What it most likely is; the decoder finds out.
            source = Source.FILE if head.startswith(IMAGE_SIGNATURES) else Source.DICOM
            writer.commit(source=source, receive_ms=None)
        self._alarms.clear("exposure_refused")
        return True

    def _put_away(self, path: Path, look: _Look) -> None:
        if dict(_look(path)).get(path) != look:
            return  # another file has the name by now; it is taken in its turn
        if self._config.after == "delete":
            path.unlink()
            return
        place = self._folder / RECEIVED / path.relative_to(self._folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, _free_name(place))

    def _set_aside(self, path: Path, look: _Look, error: OSError, problem: str) -> None:
        """Leave it alone until it changes: taking it again at each look would fill the spool."""
        self._stuck[path] = look
        # A file's name may be a patient's, and alarms leave the box: how many and why must do.
        latest = f"the latest {problem} (errno {error.errno})"
        self._alarms.set("folder", f"{self._folder}: {len(self._stuck)} files left alone, {latest}")


def _look(path: Path) -> Iterator[tuple[Path, _Look]]:
    try:
        if path.is_symlink() or not path.is_file():
            return
        status = path.stat()
    except OSError:
        return  # gone between the listing and the look
    yield path, _Look(inode=status.st_ino, size_bytes=status.st_size, modified_ns=status.st_mtime_ns)


def _free_name(path: Path) -> Path:
    number = 1
    place = path
    while place.exists():
        place = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return place
