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
class _FileState:
    """The identity, size and time of a file; if they change, the file has changed."""

    inode: int
    size_bytes: int
    modified_ns: int


class FolderReceiver:
    """One watched folder with its subfolders. `step` scans it once."""

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
        self._since_s: dict[Path, tuple[_FileState, float]] = {}
        self._stuck: dict[Path, _FileState] = {}
        self._unlisted: list[OSError] = []

    def step(self) -> int:
        """Take every finished file; return how many."""
        self._unlisted = []
        try:
            seen = dict(self._scan())
        except OSError as error:
            self._alarms.set("folder", f"{self._folder} cannot be listed ({error.strerror})")
            return 0
        self._report_unlisted()
        self._since_s = {path: self._since(path, state) for path, state in seen.items()}
        self._stuck = {path: state for path, state in self._stuck.items() if seen.get(path) == state}
        if not self._stuck:
            self._alarms.clear("folder")
        settled_s = self._clock_s() - self._config.settle_s
        finished = [path for path, (_, s) in self._since_s.items() if s <= settled_s and path not in self._stuck]
        return sum(self._take(path) for path in sorted(finished, key=lambda path: seen[path].modified_ns))

    def run(self, stop: Event, beat: Callable[[], None] = lambda: None) -> None:
        """Run until `stop` is set."""
        while not stop.is_set():
            self.step()
            beat()
            stop.wait(self._config.poll_s)

    def _scan(self) -> Iterator[tuple[Path, _FileState]]:
        for folder, folders, names in os.walk(self._folder, onerror=self._on_unlisted):
            # Links are not followed, and what was received is not received again.
            folders[:] = [name for name in folders if not name.startswith(".") and name != RECEIVED]
            for name in names:
                path = Path(folder, name)
                if name.startswith(".") or name.lower().endswith(UNFINISHED):
                    continue
                state = _state_of(path)
                if state is not None:
                    yield path, state

    def _on_unlisted(self, error: OSError) -> None:
        """Raise for the watched folder itself; note a subfolder, which must not stop its neighbours."""
        if error.filename is None or Path(error.filename) == self._folder:
            raise error
        if not isinstance(error, FileNotFoundError):  # gone since the listing
            self._unlisted.append(error)

    def _report_unlisted(self) -> None:
        if self._unlisted:
            # How many and why: a subfolder's name may be a patient's, too.
            why = f"errno {self._unlisted[0].errno}"
            self._alarms.set("subfolder", f"{self._folder}: {len(self._unlisted)} subfolders cannot be listed ({why})")
        else:
            self._alarms.clear("subfolder")

    def _since(self, path: Path, state: _FileState) -> tuple[_FileState, float]:
        before = self._since_s.get(path)
        return before if before and before[0] == state else (state, self._clock_s())

    def _take(self, path: Path) -> bool:
        state = self._since_s[path][0]
        try:
            if not self._copy(path, state):
                return False
        except SpoolFull as error:
            self._alarms.set("exposure_refused", str(error))
            return False
        except OSError as error:
            self._set_aside(path, state, error, "cannot be read")
            return False
        try:
            self._put_away(path, state)
        except OSError as error:
            self._set_aside(path, state, error, "was received but cannot be moved away")
        return True

    def _copy(self, path: Path, state: _FileState) -> bool:
        """Spool a file durably; return False if it changed while it was read."""
        with path.open("rb") as file, self._spool.open() as writer:
            head = file.read(CHUNK_BYTES)
            writer.write(head)
            # A byte above the limit is enough for the gate to answer `too_large`.
            while writer.size_bytes <= self._max_file_bytes and (chunk := file.read(CHUNK_BYTES)):
                writer.write(chunk)
            if _state_of(path) != state:
                self._since_s.pop(path, None)
                return False
            # What it most likely is; the decoder finds out.
            source = Source.FILE if head.startswith(IMAGE_SIGNATURES) else Source.DICOM
            writer.commit(source=source, receive_ms=None)
        self._alarms.clear("exposure_refused")
        return True

    def _put_away(self, path: Path, state: _FileState) -> None:
        if _state_of(path) != state:
            return  # another file has the name by now; it is taken in its turn
        if self._config.after == "delete":
            path.unlink()
            return
        place = self._folder / RECEIVED / path.relative_to(self._folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, _free_name(place))

    def _set_aside(self, path: Path, state: _FileState, error: OSError, problem: str) -> None:
        """Ignore a file until it changes: taking it again at every step would fill the spool."""
        self._stuck[path] = state
        # A file's name may be a patient's, and alarms leave the box: how many and why must do.
        latest = f"the latest {problem} (errno {error.errno})"
        self._alarms.set("folder", f"{self._folder}: {len(self._stuck)} files left alone, {latest}")


def _state_of(path: Path) -> _FileState | None:
    """Return the state of a plain file, or None."""
    try:
        if path.is_symlink() or not path.is_file():
            return None
        status = path.stat()
    except OSError:
        return None  # gone since the listing
    return _FileState(inode=status.st_ino, size_bytes=status.st_size, modified_ns=status.st_mtime_ns)


def _free_name(path: Path) -> Path:
    number = 1
    place = path
    while place.exists():
        place = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return place
