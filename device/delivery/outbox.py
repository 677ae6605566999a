"""The outbox: results wait here for the collector's receipt, which alone deletes them.

SQLite with WAL and synchronous=FULL: what `put` returned survives a power cut. The flag history is in the same file,
so that a flag and its message are one commit.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from console.errors import ExpectedError
from device.contract import Result, result_id
from device.delivery.flag_history import (
    BoardEntry,
    create_history,
    insert,
    recent,
)
from device.host.disk import FULL_ERRNOS, Ballast

log = logging.getLogger(__name__)

T = TypeVar("T")
_TABLES = (
    """CREATE TABLE IF NOT EXISTS outbox (
        seq INTEGER PRIMARY KEY, result_id TEXT NOT NULL UNIQUE, body TEXT NOT NULL, refusals INTEGER NOT NULL DEFAULT 0
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS dead_letter (
        seq INTEGER PRIMARY KEY, result_id TEXT NOT NULL UNIQUE, body TEXT NOT NULL, why TEXT NOT NULL
    ) STRICT""",
    "CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT",
    "INSERT OR IGNORE INTO counter VALUES ('seq', 0)",
)
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_FSYNC}


class OutboxFull(Exception):
    """There is no space for another result; the exposure stays in the spool and is classified again later."""


class OutboxBroken(ExpectedError):
    """The file cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingMessage:
    """A result without a receipt: its JSON text as published, and how often it was refused."""

    seq: int
    result_id: str
    body: str
    refusals: int


class Outbox:
    """One process owns it; its threads may share it. Raises OutboxBroken when the file cannot be opened."""

    def __init__(self, path: Path, *, ballast_bytes: int = 0, synchronous: str = "FULL") -> None:
        self._path = path
        self._ballast = Ballast(path.with_name("ballast"), ballast_bytes)
        self._lock = threading.RLock()
        try:
            self._db = self._without_ballast_if_full(lambda: _open_database(path, synchronous))
        except OutboxFull as error:
            raise OutboxBroken(f"{error}; free some space and start again; the file itself is intact") from error
        except (sqlite3.DatabaseError, OSError) as error:
            raise OutboxBroken(
                f"{path}: {error}; move the file away to start with a new one, and keep it for support"
            ) from error
        self._ballast.create()

    def put(self, draft: Result, entry: BoardEntry) -> Result | None:
        """Store a result and its flag in one commit under the next `seq`; return None if it was put before.

        Raises OutboxFull; nothing is stored then and no number is used up.
        """
        with self._transaction():
            draft = self._with_own_identifiers(draft, entry.fingerprint)
            if self._contains(draft.result_id):
                self._db.execute(
                    "UPDATE history SET resends = resends + 1, resent_at = ? WHERE result_id = ?",
                    (entry.received_at.isoformat(), draft.result_id),
                )
                return None
            next_seq = "UPDATE counter SET value = value + 1 WHERE name = 'seq' RETURNING value"
            result = replace(draft, seq=int(self._db.execute(next_seq).fetchone()[0]))
            self._db.execute(
                "INSERT INTO outbox (seq, result_id, body) VALUES (?, ?, ?)",
                (result.seq, result.result_id, result.to_json()),
            )
            # After `history_days` an exposure may come again as new, when its old flag is gone.
            insert(self._db, replace(entry, result=result.to_dict()))
        return result

    def waiting(self, *, after_seq: int = 0, limit: int = 200) -> list[PendingMessage]:
        """Return results without a receipt, lowest `seq` first, beginning after `after_seq`."""
        with self._lock:
            rows = self._db.execute(
                "SELECT seq, result_id, body, refusals FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?",
                (after_seq, limit),
            ).fetchall()
        return [
            PendingMessage(seq=seq, result_id=rid, body=body, refusals=refusals) for seq, rid, body, refusals in rows
        ]

    def pending(self, seq: int) -> PendingMessage | None:
        """Return one result, or None when it does not wait any more."""
        return next((message for message in self.waiting(after_seq=seq - 1, limit=1) if message.seq == seq), None)

    def confirm(self, result_ids: Iterable[str]) -> int:
        """Delete what the collector has committed, and only that; return the number of rows."""
        return self._delete("DELETE FROM outbox WHERE result_id = ?", result_ids)

    def count_refusal(self, seq: int) -> int:
        """Count a refusal of this message and return how many it has."""
        with self._transaction():
            row = self._db.execute(
                "UPDATE outbox SET refusals = refusals + 1 WHERE seq = ? RETURNING refusals", (seq,)
            ).fetchone()
        return int(row[0]) if row else 0

    def move_to_dead_letters(self, seq: int, reason: str) -> None:
        """Move a message that can never be sent out of the way of those behind it."""
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO dead_letter SELECT seq, result_id, body, ? FROM outbox WHERE seq = ?",
                (reason, seq),
            )
            self._db.execute("DELETE FROM outbox WHERE seq = ?", (seq,))

    def history(self, limit: int) -> list[BoardEntry]:
        """Return the newest `limit` flags, newest first."""
        with self._lock:
            return recent(self._db, limit)

    def prune(self, *, now: datetime, keep_days: int) -> int:
        """Remove old flags from the board; messages that wait for a receipt stay. Raises OutboxFull."""
        oldest = (now - timedelta(days=keep_days)).isoformat()
        removed = self._delete("DELETE FROM history WHERE received_at < ?", [oldest])
        self._ballast.create()
        return removed

    def depth(self) -> int:
        """Return the number of results that wait for a receipt."""
        return self._count("outbox")

    def dead_letters(self) -> int:
        """Return the number of results that could not be sent."""
        return self._count("dead_letter")

    def last_seq(self) -> int:
        """Return the last `seq` that was given."""
        with self._lock:
            return int(self._db.execute("SELECT value FROM counter WHERE name = 'seq'").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _count(self, table: str) -> int:
        with self._lock:
            return int(self._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - own names

    def _contains(self, result_id: str) -> bool:
        query = "SELECT 1 FROM {} WHERE result_id = ?"
        tables = ("history", "outbox", "dead_letter")
        return any(self._db.execute(query.format(table), (result_id,)).fetchone() for table in tables)

    def _with_own_identifiers(self, draft: Result, fingerprint: str) -> Result:
        """Return the draft, with new identifiers if its UID was seen before with another image.

        A modality may reuse UIDs, or send an incomplete image first. Were the second image taken for a resend, the
        board would show the first patient's flag as current.
        """
        row = self._db.execute("SELECT fingerprint FROM history WHERE result_id = ?", (draft.result_id,)).fetchone()
        if row is None or row[0] == fingerprint:
            return draft
        log.warning("uid_reused", extra={"result": draft.result_id})
        exposure_id = result_id(draft.exposure_id, fingerprint)
        return replace(draft, exposure_id=exposure_id, result_id=result_id(exposure_id, draft.model.digest))

    def _without_ballast_if_full(self, change: Callable[[], T]) -> T:
        """Run `change`, on a full disk once more without the ballast: even DELETE needs space for its pages."""
        try:
            return change()
        except OutboxFull:
            self._ballast.delete()
            return change()

    def _delete(self, statement: str, values: Iterable[str]) -> int:
        """Run `statement` with each of the values in one commit and return the number of rows deleted."""
        parameters = [(value,) for value in values]

        def delete() -> int:
            with self._transaction():
                return self._db.executemany(statement, parameters).rowcount

        return self._without_ballast_if_full(delete)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, _full_disk_as_outbox_full(self._path):
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


def _open_database(path: Path, synchronous: str) -> sqlite3.Connection:
    """Open or create the file. Raises OutboxFull, sqlite3.DatabaseError, OSError; nothing is left open then."""
    with ExitStack() as stack:
        stack.enter_context(_full_disk_as_outbox_full(path))
        path.touch(mode=0o600, exist_ok=True)
        db = sqlite3.connect(path, check_same_thread=False, timeout=10, isolation_level=None)
        stack.callback(db.close)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={synchronous}")
        db.execute("PRAGMA journal_size_limit=16777216")
        for statement in _TABLES:
            db.execute(statement)
        create_history(db)
        stack.pop_all()
    return db


@contextmanager
def _full_disk_as_outbox_full(path: Path) -> Iterator[None]:
    """Raise OutboxFull for every form in which SQLite or the system reports a full disk."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode in _FULL:
            raise OutboxFull(f"{path}: the disk is full") from error
        raise
    except OSError as error:
        if error.errno in FULL_ERRNOS:
            raise OutboxFull(f"{path}: the disk is full") from error
        raise
