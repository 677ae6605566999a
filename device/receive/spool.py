"""Spool: the bytes of a film come in; a file that survives a power cut goes out, oldest first.

Nothing a stranger wrote reaches a path: a name is an order number, the arrival, the source and the tries so far.
"""

from __future__ import annotations

import os
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from device.contract import Source
from device.host.clock import utc_now
from device.host.disk import FULL_ERRNOS

_NAME = re.compile(r"(\d{12})-(\d{1,16})-(dicom|file)-(\d{1,16}|x)-(\d{1,4})\.film")
_TEMPORARY = ".incoming-"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SpoolFull(Exception):
    """No room for another film: the sender keeps it and tries again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledExposure:
    """A film on disk. `receive_ms` is null where reception has no duration; `tries` counts attempts to judge it."""

    path: Path
    received_at: datetime
    source: Source
    receive_ms: float | None
    order: int = 0
    tries: int = 0


class SpoolWriter:
    """A film on its way in; it is nowhere to be seen until `commit` has made it durable."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._path = spool.root / f"{_TEMPORARY}{secrets.token_hex(8)}"
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self.size_bytes = 0

    def write(self, data: bytes | memoryview) -> int:
        """Append. Raises SpoolFull; the writer is then to be aborted."""
        self._spool.require_room()
        rest = memoryview(data)
        with _full_is_told():
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        self.size_bytes += len(data)
        return len(data)

    def commit(self, *, source: Source, receive_ms: float | None) -> SpooledExposure:
        """Make it durable (file, then folder) and let it be judged. Raises SpoolFull; nothing is kept then."""
        received_at = self._spool.now()
        receive_ms = None if receive_ms is None else round(receive_ms, 3)
        try:
            with _full_is_told():
                os.fsync(self._fd)
        except BaseException:
            self.abort()
            raise
        os.close(self._fd)
        self._fd = -1
        film = SpooledExposure(path=self._path, received_at=received_at, source=source, receive_ms=receive_ms)
        return self._spool.admit(film)

    def abort(self) -> None:
        """Forget the film; harmless after `commit` and when repeated."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.abort()


class Spool:
    """The folder of films that wait to be judged. One process owns it (see `device.service`); threads may share it."""

    def __init__(self, root: Path, *, reserve_bytes: int, now: Callable[[], datetime] = utc_now) -> None:
        self.root = root
        self._reserve_bytes = reserve_bytes
        self.now = now
        self._changed = threading.Condition()
        self._closing = False
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for leftover in root.glob(f"{_TEMPORARY}*"):
            leftover.unlink(missing_ok=True)
        self._films = {film.order: film for film in scan(root)}
        # The order number, not the clock, says which is oldest: boards without a battery start in 1970.
        self._next_order = max(self._films, default=0) + 1

    def require_room(self) -> None:
        """Raises SpoolFull when less than the reserve is free."""
        disk = os.statvfs(self.root)
        if disk.f_bavail * disk.f_frsize < self._reserve_bytes:
            wanted = f"{self._reserve_bytes >> 20} MiB"
            raise SpoolFull(f"{self.root}: less than {wanted} free; free some, or lower storage.reserve_mib")

    def open(self) -> SpoolWriter:
        """A writer for one film. Raises SpoolFull."""
        self.require_room()
        with _full_is_told():
            return SpoolWriter(self)

    def put(self, data: bytes | Iterable[bytes], *, source: Source, receive_ms: float | None) -> SpooledExposure:
        """Spool a whole film; it is durable when this returns. Raises SpoolFull; nothing is kept then."""
        with self.open() as writer:
            for chunk in (data,) if isinstance(data, bytes) else data:
                writer.write(chunk)
            return writer.commit(source=source, receive_ms=receive_ms)

    def admit(self, temporary: SpooledExposure) -> SpooledExposure:
        """Give a durable temporary file its name; the writer's part of `commit`."""
        with self._changed:
            film = _renamed(replace(temporary, order=self._next_order), self.root)
            self._next_order += 1
        _fsync_folder(self.root)
        with self._changed:
            self._films[film.order] = film
            self._changed.notify_all()
        return film

    def pending(self) -> list[SpooledExposure]:
        """What waits, oldest first."""
        with self._changed:
            return [self._films[order] for order in sorted(self._films)]

    def oldest(self) -> SpooledExposure | None:
        """The next film to judge."""
        with self._changed:
            return self._films[min(self._films)] if self._films else None

    def wait(self, timeout_s: float) -> bool:
        """Until a film waits, or the time is over. True when one does."""
        with self._changed:
            self._changed.wait_for(lambda: self._films or self._closing, timeout_s)
            return bool(self._films)

    def close(self) -> None:
        """The box stops: nobody waits any longer."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def attempt(self, film: SpooledExposure) -> SpooledExposure:
        """Count a try before it is made, on disk: a film that takes the process down is known by its count."""
        return self._rename(film, tries=film.tries + 1)

    def spare(self, film: SpooledExposure) -> SpooledExposure:
        """Take the count back: the try ended for want of room, not by the film's fault."""
        return self._rename(film, tries=film.tries)

    def done(self, film: SpooledExposure) -> None:
        """Forget a film whose result is committed. Should a power cut bring it back, it is judged again: a resend."""
        with self._changed:
            latest = self._films.pop(film.order, film)  # `attempt` has given it a new name since
        latest.path.unlink(missing_ok=True)

    def _rename(self, film: SpooledExposure, *, tries: int) -> SpooledExposure:
        with self._changed:
            latest = self._films.get(film.order, film)
            self._films[film.order] = _renamed(replace(latest, tries=tries), self.root)
            return self._films[film.order]

    @property
    def depth(self) -> int:
        """Films that wait."""
        return len(self._films)


def scan(root: Path) -> list[SpooledExposure]:
    """The films in a spool folder, oldest first, for rooms that only look (the flag board)."""
    return sorted((film for film in map(_parse, root.iterdir()) if film), key=lambda film: film.order)


@contextmanager
def _full_is_told() -> Iterator[None]:
    """A full disk, however the system words it, becomes SpoolFull."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL_ERRNOS:
            raise SpoolFull(f"the disk is full ({error.strerror})") from error
        raise


def _renamed(film: SpooledExposure, root: Path) -> SpooledExposure:
    received_us = max(0, (film.received_at - _EPOCH) // timedelta(microseconds=1))
    receive_us = "x" if film.receive_ms is None else str(max(0, round(film.receive_ms * 1000)))
    path = root / f"{film.order:012d}-{received_us}-{film.source}-{receive_us}-{film.tries}.film"
    film.path.rename(path)
    return replace(film, path=path)


def _parse(path: Path) -> SpooledExposure | None:
    found = _NAME.fullmatch(path.name)
    if not found:
        return None
    order, received_us, source, receive_us, tries = found.groups()
    return SpooledExposure(
        path=path,
        received_at=_EPOCH + timedelta(microseconds=int(received_us)),
        source=Source(source),
        receive_ms=None if receive_us == "x" else int(receive_us) / 1000,
        order=int(order),
        tries=int(tries),
    )


def _fsync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
