"""History: rows of the outbox file come in; what the flag board shows goes out. It never leaves the box."""

from __future__ import annotations

import json
import sqlite3
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

_TABLE = """
CREATE TABLE IF NOT EXISTS history (
    result_id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL UNIQUE,
    body TEXT NOT NULL,
    patient_name TEXT, patient_id TEXT, accession TEXT,
    acquired_at TEXT, received_at TEXT NOT NULL, decided_at TEXT NOT NULL,
    thumbnail BLOB,
    fingerprint TEXT NOT NULL,
    resends INTEGER NOT NULL DEFAULT 0,
    resent_at TEXT,
    evidence BLOB
) STRICT
"""
_LATER_COLUMNS = {"evidence": "BLOB"}
"""Not in files of earlier versions."""
_COLUMNS = (
    "body, patient_name, patient_id, accession, acquired_at, received_at, decided_at, thumbnail, evidence, "
    "fingerprint, resends, resent_at"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardEntry:
    """One flag as the technologist sees it, with the identity that stays on the box. Times are UTC.

    `result` is the published object as JSON types. `thumbnail` is a JPEG; so is `evidence`, where the score came from,
    or None. `resends` counts how often the same film came again, last at `resent_at`; a resend changes neither the flag
    nor its place. `fingerprint` tells a film from another one that bears the same SOP Instance UID.
    """

    result: dict[str, Any]
    patient_name: str | None
    patient_id: str | None
    accession: str | None
    acquired_at: datetime | None
    received_at: datetime
    decided_at: datetime
    thumbnail: bytes | None
    evidence: bytes | None = None
    fingerprint: str = ""
    resends: int = 0
    resent_at: datetime | None = None


class History:
    """The flags as another reader of the same file sees them: read only, safe beside the running box and in threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False, timeout=5)

    def recent(self, limit: int) -> list[BoardEntry]:
        """The newest `limit` flags, newest first."""
        with self._lock:
            return recent(self._db, limit)

    def thumbnail(self, result_id: str) -> bytes | None:
        """The JPEG of one film."""
        return self._picture("SELECT thumbnail FROM history WHERE result_id = ?", result_id)

    def evidence(self, result_id: str) -> bytes | None:
        """The JPEG of where one film's score came from."""
        return self._picture("SELECT evidence FROM history WHERE result_id = ?", result_id)

    def _picture(self, query: str, result_id: str) -> bytes | None:
        with self._lock:
            row = self._db.execute(query, (result_id,)).fetchone()
        return row[0] if row else None

    def version(self) -> int:
        """A number that changes whenever the box has committed something."""
        with self._lock:
            version: int = self._db.execute("PRAGMA data_version").fetchone()[0]
        return version

    def depths(self) -> tuple[int, int]:
        """Results that wait for a receipt, and results that could not be sent."""
        counts = "SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM dead_letter)"
        with self._lock:
            waiting, dead = self._db.execute(counts).fetchone()
        return int(waiting), int(dead)

    def close(self) -> None:
        """Let the file go."""
        self._db.close()


def make_history(db: sqlite3.Connection) -> None:
    """The table of an outbox file, made, or brought to this version with every flag kept."""
    db.execute(_TABLE)
    known = {row[1] for row in db.execute("PRAGMA table_info(history)")}
    for name, kind in _LATER_COLUMNS.items():
        if name not in known:
            db.execute(f"ALTER TABLE history ADD COLUMN {name} {kind}")
    db.execute("CREATE INDEX IF NOT EXISTS history_received ON history (received_at)")


def recent(db: sqlite3.Connection, limit: int) -> list[BoardEntry]:
    """The newest `limit` flags of an open outbox file, newest first."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM history ORDER BY seq DESC LIMIT ?", (limit,))  # noqa: S608 - constant
    return [_entry(row) for row in rows.fetchall()]


def insert(db: sqlite3.Connection, entry: BoardEntry) -> None:
    """Add a flag; part of the outbox's transaction."""
    db.execute(
        f"INSERT INTO history (result_id, seq, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, NULL)",  # noqa: S608
        (
            entry.result["result_id"],
            entry.result["seq"],
            json.dumps(entry.result, separators=(",", ":")),
            entry.patient_name,
            entry.patient_id,
            entry.accession,
            _text(entry.acquired_at),
            _text(entry.received_at),
            _text(entry.decided_at),
            entry.thumbnail,
            entry.evidence,
            entry.fingerprint,
        ),
    )


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _entry(row: tuple[Any, ...]) -> BoardEntry:
    body, name, patient_id, accession, acquired_at, received_at, decided_at, *pictures_and_more = row
    thumbnail, evidence, fingerprint, resends, resent_at = pictures_and_more
    return BoardEntry(
        result=json.loads(body),
        patient_name=name,
        patient_id=patient_id,
        accession=accession,
        acquired_at=_moment(acquired_at),
        received_at=datetime.fromisoformat(received_at),
        decided_at=datetime.fromisoformat(decided_at),
        thumbnail=thumbnail,
        evidence=evidence,
        fingerprint=fingerprint,
        resends=resends,
        resent_at=_moment(resent_at),
    )
