"""Read the content of the outbox file and the spool folder at one time, without ever writing."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from device.board.entry import BoardExposure, read
from device.delivery.flag_history import BoardEntry, History
from device.receive.spool import scan

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The flags, newest decision first, and the exposures that wait.

    `exposures` are the decoded `entries`, None for one of an unknown form. `waiting` are the arrival times (UTC) of
    exposures not classified yet, oldest first. `undelivered` results wait for the collector's receipt; `dead` ones can
    never be sent. If it is not `readable`, nothing is known and no flag may be shown.
    """

    entries: tuple[BoardEntry, ...] = ()
    exposures: tuple[BoardExposure | None, ...] = ()
    waiting: tuple[datetime, ...] = ()
    undelivered: int = 0
    dead: int = 0
    readable: bool = True


UNREADABLE = Snapshot(readable=False)


class Reader:
    """Reads snapshots, from one thread only. Thumbnails and evidence maps may be read from any thread."""

    def __init__(self, outbox_path: Path, spool_root: Path, *, show: int) -> None:
        self._outbox_path, self._spool_root, self._show = outbox_path, spool_root, show
        self._history: History | None = None
        self._inode = 0
        self._seen: object = None
        self._snapshot = UNREADABLE
        self._decoded: dict[object, BoardExposure | None] = {}

    def read(self) -> Snapshot:
        """Return the current content; cheap if nothing has changed."""
        try:
            return self._read()
        except (sqlite3.Error, OSError, ValueError) as error:
            if self._snapshot.readable:
                log.warning("board_cannot_read", extra={"error": type(error).__name__})
            self.close()
            self._snapshot = UNREADABLE
            return UNREADABLE

    def _read(self) -> Snapshot:
        # The spool first: an exposure leaves it after its flag is committed, so it is never missing from both.
        waiting = tuple(exposure.received_at for exposure in scan(self._spool_root))
        history = self._open()
        seen = (history.version(), waiting)
        if seen != self._seen or not self._snapshot.readable:
            undelivered, dead = history.depths()
            entries = tuple(history.recent(self._show))
            previous, self._decoded = self._decoded, {}
            for entry in entries:  # each is decoded once
                key = (entry.result.get("result_id"), entry.resent_at)
                self._decoded[key] = previous[key] if key in previous else read(entry)
            self._snapshot = Snapshot(
                entries=entries,
                exposures=tuple(self._decoded.values()),
                waiting=waiting,
                undelivered=undelivered,
                dead=dead,
            )
            self._seen = seen
        return self._snapshot

    def _open(self) -> History:
        """Return the open file, opened again if another one has taken its name (moved away, restored)."""
        inode = self._outbox_path.stat().st_ino
        if self._history is None or inode != self._inode:
            self.close()
            self._history, self._inode = History(self._outbox_path), inode
        return self._history

    def thumbnail(self, result_id: str) -> bytes | None:
        """Return the thumbnail of exactly this result, a JPEG, or None."""
        return self._picture(History.thumbnail, result_id)

    def evidence(self, result_id: str) -> bytes | None:
        """Return the evidence map of exactly this result, a JPEG, or None."""
        return self._picture(History.evidence, result_id)

    def _picture(self, read: Callable[[History, str], bytes | None], result_id: str) -> bytes | None:
        try:
            history = History(self._outbox_path)
            try:
                return read(history, result_id)
            finally:
                history.close()
        except (sqlite3.Error, OSError):
            return None

    def close(self) -> None:
        """Close the file."""
        if self._history is not None:
            self._history.close()
        self._history, self._seen = None, None
