"""The flag history: what the flag board shows. It is kept in the outbox file and never leaves the box."""

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
"""Columns that files of earlier versions do not have."""
_COLUMNS = (
    "body, patient_name, patient_id, accession, acquired_at, received_at, decided_at, thumbnail, evidence, "
    "fingerprint, resends, resent_at"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardEntry:
    """One flag as the technologist sees it, with the identity that stays on the box. Times are UTC.

    `result` is the published object as JSON types. `thumbnail` is a JPEG; so is `evidence`, where the score came from,
    or None. `resends` counts how often the same image came again, last at `resent_at`; a resend changes neither the
    flag nor its place. `fingerprint` distinguishes images that have the same SOP Instance UID.
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
    """Read-only access to the flags, safe beside the running box and from several threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False, timeout=5)

    def recent(self, limit: int) -> list[BoardEntry]:
        """Return the newest `limit` flags, newest first."""
        with self._lock:
            return recent(self._db, limit)

    def thumbnail(self, result_id: str) -> bytes | None:
        """Return the JPEG of one image."""
        return self._image("SELECT thumbnail FROM history WHERE result_id = ?", result_id)

    def evidence(self, result_id: str) -> bytes | None:
        """Return the JPEG of the evidence map of one image."""
        return self._image("SELECT evidence FROM history WHERE result_id = ?", result_id)

    def _image(self, query: str, result_id: str) -> bytes | None:
        with self._lock:
            row = self._db.execute(query, (result_id,)).fetchone()
        return row[0] if row else None

    def version(self) -> int:
        """Return a number that changes whenever the box has committed something."""
        with self._lock:
            version: int = self._db.execute("PRAGMA data_version").fetchone()[0]
        return version

    def depths(self) -> tuple[int, int]:
        """Return the numbers of results that wait for a receipt and of results that could not be sent."""
        counts = "SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM dead_letter)"
        with self._lock:
            waiting, dead = self._db.execute(counts).fetchone()
        return int(waiting), int(dead)

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def create_history(db: sqlite3.Connection) -> None:
    """Create the table of the flags, or bring that of an earlier version up to date with every flag kept."""
    db.execute(_TABLE)
    columns = {row[1] for row in db.execute("PRAGMA table_info(history)")}
    for name, sql_type in _LATER_COLUMNS.items():
        if name not in columns:
            db.execute(f"ALTER TABLE history ADD COLUMN {name} {sql_type}")
    db.execute("CREATE INDEX IF NOT EXISTS history_received ON history (received_at)")


def recent(db: sqlite3.Connection, limit: int) -> list[BoardEntry]:
    """Return the newest `limit` flags of an open outbox file, newest first."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM history ORDER BY seq DESC LIMIT ?", (limit,))  # noqa: S608 - constant
    return [_entry(row) for row in rows.fetchall()]


def insert(db: sqlite3.Connection, entry: BoardEntry) -> None:
    """Add a flag, as part of the outbox's transaction."""
    db.execute(
        f"INSERT INTO history (result_id, seq, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, NULL)",  # noqa: S608
        (
            entry.result["result_id"],
            entry.result["seq"],
            json.dumps(entry.result, separators=(",", ":")),
            entry.patient_name,
            entry.patient_id,
            entry.accession,
            entry.acquired_at and entry.acquired_at.isoformat(),
            entry.received_at.isoformat(),
            entry.decided_at.isoformat(),
            entry.thumbnail,
            entry.evidence,
            entry.fingerprint,
        ),
    )


def _entry(row: tuple[Any, ...]) -> BoardEntry:
    body, name, patient_id, accession, acquired_at, received_at, decided_at, *others = row
    thumbnail, evidence, fingerprint, resends, resent_at = others
    return BoardEntry(
        result=json.loads(body),
        patient_name=name,
        patient_id=patient_id,
        accession=accession,
        acquired_at=datetime.fromisoformat(acquired_at) if acquired_at else None,
        received_at=datetime.fromisoformat(received_at),
        decided_at=datetime.fromisoformat(decided_at),
        thumbnail=thumbnail,
        evidence=evidence,
        fingerprint=fingerprint,
        resends=resends,
        resent_at=datetime.fromisoformat(resent_at) if resent_at else None,
    )
