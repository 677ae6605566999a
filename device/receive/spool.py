"""Spool: the bytes of an exposure come in; a file that survives a power cut goes out, oldest first.

No untrusted text reaches a path: a name is an order number, the arrival, the source and the tries so far.
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
    """The disk is too full for another exposure: the sender keeps it and tries again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedExposure:
    """A file that is to be classified: when (UTC) and how it came.

    `source` serves files that do not say themselves what they are. `receive_ms` is None where reception has no
    duration.
    """

    path: Path
    received_at: datetime
    source: Source
    receive_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledExposure(ReceivedExposure):
    """An exposure in the spool. `tries` counts attempts to classify it."""

    order: int = 0
    tries: int = 0


class SpoolWriter:
    """An exposure on its way in; invisible until `commit` has made it durable."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._path = spool.root / f"{_TEMPORARY}{secrets.token_hex(8)}"
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self.size_bytes = 0

    def write(self, data: bytes | memoryview) -> int:
        """Append. Raises SpoolFull; the writer must then be aborted."""
        self._spool.require_space()
        rest = memoryview(data)
        with _raising_spool_full():
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        self.size_bytes += len(data)
        return len(data)

    def commit(self, *, source: Source, receive_ms: float | None) -> SpooledExposure:
        """Make the exposure durable (file, then folder) and queue it. Raises SpoolFull; nothing is kept then."""
        received_at = self._spool.now()
        receive_ms = None if receive_ms is None else round(receive_ms, 3)
        try:
            with _raising_spool_full():
                os.fsync(self._fd)
        except BaseException:
            self.abort()
            raise
        os.close(self._fd)
        self._fd = -1
        exposure = SpooledExposure(path=self._path, received_at=received_at, source=source, receive_ms=receive_ms)
        return self._spool.admit(exposure)

    def abort(self) -> None:
        """Forget the exposure; harmless after `commit` and when repeated."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.abort()


class Spool:
    """The folder of exposures that wait to be classified.

    One process owns it (see `device.service`); its threads may share it.
    """

    def __init__(self, root: Path, *, reserve_bytes: int, now: Callable[[], datetime] = utc_now) -> None:
        self.root = root
        self._reserve_bytes = reserve_bytes
        self.now = now
        self._changed = threading.Condition()
        self._closing = False
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for leftover in root.glob(f"{_TEMPORARY}*"):
            leftover.unlink(missing_ok=True)
        self._exposures = {exposure.order: exposure for exposure in scan(root)}
        # The order number, not the clock, says which is oldest: boards without a battery start in 1970.
        self._next_order = max(self._exposures, default=0) + 1

    def require_space(self) -> None:
        """Raise SpoolFull if less than the reserve is free."""
        disk = os.statvfs(self.root)
        if disk.f_bavail * disk.f_frsize < self._reserve_bytes:
            wanted = f"{self._reserve_bytes >> 20} MiB"
            raise SpoolFull(f"{self.root}: less than {wanted} free; free some, or lower storage.reserve_mib")

    def open(self) -> SpoolWriter:
        """Return a writer for one exposure. Raises SpoolFull."""
        self.require_space()
        with _raising_spool_full():
            return SpoolWriter(self)

    def put(self, data: bytes | Iterable[bytes], *, source: Source, receive_ms: float | None) -> SpooledExposure:
        """Spool a whole exposure; it is durable when this returns. Raises SpoolFull; nothing is kept then."""
        with self.open() as writer:
            for chunk in (data,) if isinstance(data, bytes) else data:
                writer.write(chunk)
            return writer.commit(source=source, receive_ms=receive_ms)

    def admit(self, temporary: SpooledExposure) -> SpooledExposure:
        """Give a durable temporary file its name; the writer's part of `commit`."""
        with self._changed:
            exposure = _renamed(replace(temporary, order=self._next_order), self.root)
            self._next_order += 1
        _fsync_folder(self.root)
        with self._changed:
            self._exposures[exposure.order] = exposure
            self._changed.notify_all()
        return exposure

    def pending(self) -> list[SpooledExposure]:
        """Return the exposures that wait, oldest first."""
        with self._changed:
            return [self._exposures[order] for order in sorted(self._exposures)]

    def oldest(self) -> SpooledExposure | None:
        """Return the next exposure to classify, or None."""
        with self._changed:
            return self._exposures[min(self._exposures)] if self._exposures else None

    def wait(self, timeout_s: float) -> bool:
        """Wait for an exposure, at most `timeout_s`; return whether there is one."""
        with self._changed:
            self._changed.wait_for(lambda: self._exposures or self._closing, timeout_s)
            return bool(self._exposures)

    def close(self) -> None:
        """End every `wait`, because the box stops."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def attempt(self, exposure: SpooledExposure) -> SpooledExposure:
        """Count a try before it is made, on disk: its count shows an exposure that kills the process."""
        return self._rename(exposure, tries=exposure.tries + 1)

    def restore_attempt(self, exposure: SpooledExposure) -> SpooledExposure:
        """Take the count back: the try ended for lack of space, not through the exposure's fault."""
        return self._rename(exposure, tries=exposure.tries)

    def done(self, exposure: SpooledExposure) -> None:
        """Delete an exposure whose result is committed. One that a power cut brings back is a resend."""
        with self._changed:
            latest = self._exposures.pop(exposure.order, exposure)  # `attempt` has given it a new name since
        latest.path.unlink(missing_ok=True)

    def _rename(self, exposure: SpooledExposure, *, tries: int) -> SpooledExposure:
        with self._changed:
            latest = self._exposures.get(exposure.order, exposure)
            self._exposures[exposure.order] = _renamed(replace(latest, tries=tries), self.root)
            return self._exposures[exposure.order]

    @property
    def depth(self) -> int:
        """The number of exposures that wait."""
        return len(self._exposures)


def scan(root: Path) -> list[SpooledExposure]:
    """Return the exposures in a spool folder, oldest first, for readers such as the flag board."""
    return sorted(
        (exposure for exposure in map(_parse, root.iterdir()) if exposure), key=lambda exposure: exposure.order
    )


@contextmanager
def _raising_spool_full() -> Iterator[None]:
    """Raise SpoolFull for a full disk, whatever its error number."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL_ERRNOS:
            raise SpoolFull(f"the disk is full ({error.strerror})") from error
        raise


def _renamed(exposure: SpooledExposure, root: Path) -> SpooledExposure:
    received_us = max(0, (exposure.received_at - _EPOCH) // timedelta(microseconds=1))
    receive_us = "x" if exposure.receive_ms is None else str(max(0, round(exposure.receive_ms * 1000)))
    path = root / f"{exposure.order:012d}-{received_us}-{exposure.source}-{receive_us}-{exposure.tries}.film"
    exposure.path.rename(path)
    return replace(exposure, path=path)


def _parse(path: Path) -> SpooledExposure | None:
    match = _NAME.fullmatch(path.name)
    if not match:
        return None
    order, received_us, source, receive_us, tries = match.groups()
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
