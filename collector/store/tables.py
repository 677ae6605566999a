"""Tables of the store, and the types that convert its columns to Python values and back.

SQLite and PostgreSQL hold the same text and numbers. Nothing here can name a patient: identifiers are keyed,
and of vendors' records only the scores are kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

from device.contract import iso_utc


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC datetime, stored as ISO 8601 text with milliseconds and a Z: the order of texts is that of times."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002  # SQLAlchemy's
        """Return the text to store."""
        return None if value is None else iso_utc(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # SQLAlchemy's
        """Return the stored time."""
        return None if value is None else datetime.fromisoformat(value)


class JsonText(TypeDecorator[Mapping[str, object]]):
    """A JSON object as ASCII text: a lone surrogate, which no database takes, stays an escape."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, object] | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the text to store."""
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Mapping[str, object] | None:  # noqa: ARG002
        """Return the stored object."""
        return None if value is None else dict(json.loads(value))


class ZeroOrOne(TypeDecorator[bool]):
    """A bool as 0 or 1 in an integer column."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: bool | None, dialect: Dialect) -> int | None:  # noqa: ARG002, FBT001
        """Return the number to store."""
        return None if value is None else int(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> bool | None:  # noqa: ARG002
        """Return the stored value."""
        return None if value is None else bool(value)


metadata = MetaData()

# SQLite numbers rows by itself only for a column of exactly this type.
SERIAL = BigInteger().with_variant(Integer, "sqlite")

results = Table(
    "results",
    metadata,
    Column("result_id", String(64), primary_key=True),
    Column("site", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("boot_id", Text, nullable=False),
    Column("exposure_id", Text, nullable=False, index=True),
    Column("study_id", Text, index=True),
    Column("accession_id", Text, index=True),
    Column("patient_id", Text),
    Column("acquired_at", UtcTime),
    Column("decided_at", UtcTime, nullable=False),
    Column("received_at", UtcTime, nullable=False, index=True),
    Column("gate_status", String(16), nullable=False),
    Column("reason", String(64)),
    Column("flag", String(16), nullable=False),
    Column("probability", Float(53)),
    Column("score", Float(53)),
    Column("view", Text),
    Column("sex", Text),
    Column("age_years", Integer),
    Column("model_name", Text, nullable=False),
    Column("model_version", BigInteger, nullable=False),
    Column("model_digest", Text, nullable=False),
    Column("total_ms", Float(53), nullable=False),
    Column("body", Text, nullable=False),
    Index("ix_results_box_seq", "site", "device", "seq"),
)

# A result that was sent again under a new number leaves its second number here, so that it is not taken for a gap.
repeated_seqs = Table(
    "repeated_seqs",
    metadata,
    Column("site", Text, primary_key=True),
    Column("device", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("result_id", String(64), nullable=False),
)

boxes = Table(
    "boxes",
    metadata,
    Column("site", Text, primary_key=True),
    Column("device", Text, primary_key=True),
    Column("last_seq", BigInteger),
    Column("last_result_at", UtcTime),
    Column("last_seen_at", UtcTime, nullable=False),
    Column("status", String(16)),
    Column("status_at", UtcTime),
    Column("health", JsonText),
    Column("health_at", UtcTime),
)

rejected_messages = Table(
    "rejected_messages",
    metadata,
    Column("id", SERIAL, primary_key=True),
    Column("received_at", UtcTime, nullable=False),
    Column("topic", String(256), nullable=False),
    Column("error", String(300), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
)

vendor_outputs = Table(
    "vendor_outputs",
    metadata,
    Column("output_id", String(64), primary_key=True),
    Column("system", Text, nullable=False),
    Column("vendor", String(16), nullable=False),
    Column("version", Text, nullable=False),
    Column("exposure_id", Text, index=True),
    Column("study_id", Text),
    Column("accession_id", Text),
    Column("patient_id", Text),
    Column("positive", ZeroOrOne),
    Column("score", Float(53)),
    Column("at_least", Float(53)),
    Column("score_scale", String(8)),
    Column("rule_version", Text, nullable=False),
    Column("raw_scores", JsonText, nullable=False),
    Column("imported_at", UtcTime, nullable=False),
)

reads = Table(
    "reads",
    metadata,
    Column("read_id", String(64), primary_key=True),
    Column("reader", Text, nullable=False),
    Column("exposure_id", Text, index=True),
    Column("study_id", Text),
    Column("accession_id", Text),
    Column("patient_id", Text),
    Column("positive", ZeroOrOne, nullable=False),
    Column("imported_at", UtcTime, nullable=False),
)
