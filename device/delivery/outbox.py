"""Outbox: a judged film comes in; rows that wait for the collector's receipt go out. Only the receipt deletes them.

SQLite with WAL and synchronous=FULL: what `put` returned survives a power cut. The flag history lives in the same file,
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

from device.contract import Result, result_id
from device.delivery.flag_history import (
    BoardEntry,
    insert,
    make_history,
    recent,
)
from device.host.disk import FULL_ERRNOS, Ballast

log = logging.getLogger(__name__)

Done = TypeVar("Done")
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
    """No room for another result: the film stays in the spool and is judged again later."""


class OutboxBroken(Exception):
    """The file cannot be used; the words say what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A row on its way: the JSON text as published, and how often it was refused."""

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
            self._db = self._shrinking(lambda: _opened(path, synchronous))
        except OutboxFull as error:
            raise OutboxBroken(f"{error}; free some room there and start again, the file itself is good") from error
        except (sqlite3.DatabaseError, OSError) as error:
            raise OutboxBroken(f"{path}: {error}; move the file away to start anew, and keep it for support") from error
        self._ballast.lay()

    def put(self, draft: Result, entry: BoardEntry) -> Result | None:
        """Keep a result and its flag in one commit and give it the next `seq`; None for one that was put before.

        Raises OutboxFull; nothing is kept then and no number is used up.
        """
        with self._transaction():
            draft = self._told_apart(draft, entry.fingerprint)
            if self._knows(draft.result_id):
                self._note_resend(draft.result_id, entry.received_at)
                return None
            seq = self._next_seq()
            result = replace(draft, seq=seq)
            self._db.execute(
                "INSERT INTO outbox (seq, result_id, body) VALUES (?, ?, ?)", (seq, result.result_id, result.to_json())
            )
            # Past `history_days` a film may come again as new, while its old flag is gone.
            insert(self._db, replace(entry, result=result.to_dict()))
        return result

    def waiting(self, *, after_seq: int = 0, limit: int = 200) -> list[Letter]:
        """Rows without a receipt, lowest `seq` first, beginning behind `after_seq`."""
        with self._lock:
            rows = self._db.execute(
                "SELECT seq, result_id, body, refusals FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?",
                (after_seq, limit),
            ).fetchall()
        return [Letter(seq=seq, result_id=rid, body=body, refusals=refusals) for seq, rid, body, refusals in rows]

    def letter(self, seq: int) -> Letter | None:
        """One row, while it waits."""
        return next((found for found in self.waiting(after_seq=seq - 1, limit=1) if found.seq == seq), None)

    def done(self, result_ids: Iterable[str]) -> int:
        """Forget what the collector has committed, and only that. Returns how many rows went."""
        ids = [(result_id,) for result_id in result_ids]
        return self._shrinking(lambda: self._delete(ids))

    def refused(self, seq: int) -> int:
        """Count a refusal that names this very message; returns how many it has."""
        with self._transaction():
            row = self._db.execute(
                "UPDATE outbox SET refusals = refusals + 1 WHERE seq = ? RETURNING refusals", (seq,)
            ).fetchone()
        return int(row[0]) if row else 0

    def bury(self, seq: int, why: str) -> None:
        """Move a message that can never be sent aside, so that those behind it flow."""
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO dead_letter SELECT seq, result_id, body, ? FROM outbox WHERE seq = ?",
                (why, seq),
            )
            self._db.execute("DELETE FROM outbox WHERE seq = ?", (seq,))

    def history(self, limit: int) -> list[BoardEntry]:
        """The newest flags, newest first."""
        with self._lock:
            return recent(self._db, limit)

    def prune(self, *, now: datetime, keep_days: int) -> int:
        """Let old flags leave the board; messages that wait for a receipt stay. Raises OutboxFull."""
        oldest = (now - timedelta(days=keep_days)).isoformat()
        gone = self._shrinking(lambda: self._forget_flags(oldest))
        self._ballast.lay()
        return gone

    def depth(self) -> int:
        """Results that wait for a receipt."""
        return self._count("outbox")

    def dead_letters(self) -> int:
        """Results that could not be sent."""
        return self._count("dead_letter")

    def last_seq(self) -> int:
        """The number given last."""
        with self._lock:
            return int(self._db.execute("SELECT value FROM counter WHERE name = 'seq'").fetchone()[0])

    def close(self) -> None:
        """Let the file go."""
        with self._lock:
            self._db.close()

    def _count(self, table: str) -> int:
        with self._lock:
            return int(self._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - own names

    def _knows(self, result_id: str) -> bool:
        known = "SELECT 1 FROM {} WHERE result_id = ?"
        tables = ("history", "outbox", "dead_letter")
        return any(self._db.execute(known.format(table), (result_id,)).fetchone() for table in tables)

    def _told_apart(self, draft: Result, fingerprint: str) -> Result:
        """Another film under a UID that was seen before gets identifiers of its own.

        A modality that reuses UIDs, or sends a half film first, must not have the second film taken for a resend: the
        board would show the first patient's flag as current.
        """
        found = self._db.execute("SELECT fingerprint FROM history WHERE result_id = ?", (draft.result_id,)).fetchone()
        if found is None or found[0] == fingerprint:
            return draft
        log.warning("uid_reused", extra={"result": draft.result_id})
        apart = result_id(draft.exposure_id, fingerprint)
        return replace(draft, exposure_id=apart, result_id=result_id(apart, draft.model.digest))

    def _note_resend(self, result_id: str, received_at: datetime) -> None:
        self._db.execute(
            "UPDATE history SET resends = resends + 1, resent_at = ? WHERE result_id = ?",
            (received_at.isoformat(), result_id),
        )

    def _next_seq(self) -> int:
        row = self._db.execute("UPDATE counter SET value = value + 1 WHERE name = 'seq' RETURNING value").fetchone()
        return int(row[0])

    def _shrinking(self, change: Callable[[], Done]) -> Done:
        """`change`, and on a full disk once more without the ballast: even DELETE needs room for its pages."""
        try:
            return change()
        except OutboxFull:
            self._ballast.free()
            return change()

    def _delete(self, ids: list[tuple[str]]) -> int:
        with self._transaction():
            return self._db.executemany("DELETE FROM outbox WHERE result_id = ?", ids).rowcount

    def _forget_flags(self, oldest: str) -> int:
        with self._transaction():
            return self._db.execute("DELETE FROM history WHERE received_at < ?", (oldest,)).rowcount

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, _full_is_told(self._path):
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


def _opened(path: Path, synchronous: str) -> sqlite3.Connection:
    """Raises OutboxFull, sqlite3.DatabaseError, OSError; nothing is left open then."""
    with ExitStack() as stack:
        stack.enter_context(_full_is_told(path))
        path.touch(mode=0o600, exist_ok=True)
        db = sqlite3.connect(path, check_same_thread=False, timeout=10, isolation_level=None)
        stack.callback(db.close)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={synchronous}")
        db.execute("PRAGMA journal_size_limit=16777216")
        for statement in _TABLES:
            db.execute(statement)
        make_history(db)
        stack.pop_all()
    return db


@contextmanager
def _full_is_told(path: Path) -> Iterator[None]:
    """A full disk, however SQLite or the system words it, becomes OutboxFull."""
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
