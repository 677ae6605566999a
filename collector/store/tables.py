"""Tables of the store. Times are ISO 8601 text in UTC, so they sort and read alike on SQLite and PostgreSQL.

Nothing here can name a patient: identifiers are keyed, and vendors' records keep their scores only.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

IDENTIFIERS = ("exposure_id", "study_id", "accession_id", "patient_id")
ID = String(32)
TIME = String(32)
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
    Column("acquired_at", TIME),
    Column("decided_at", TIME, nullable=False),
    Column("received_at", TIME, nullable=False, index=True),
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
    Column("last_result_at", TIME),
    Column("last_seen_at", TIME, nullable=False),
    Column("status", String(16)),
    Column("status_at", TIME),
    Column("health", Text),
    Column("health_at", TIME),
)

rejected_messages = Table(
    "rejected_messages",
    metadata,
    Column("id", SERIAL, primary_key=True),
    Column("received_at", TIME, nullable=False),
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
    Column("positive", Integer),
    Column("score", Float(53)),
    Column("at_least", Float(53)),
    Column("score_scale", String(8)),
    Column("rule_version", Text, nullable=False),
    Column("raw_scores", Text, nullable=False),
    Column("imported_at", TIME, nullable=False),
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
    Column("positive", Integer, nullable=False),
    Column("imported_at", TIME, nullable=False),
)
