"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.String(32)
SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make them."""
    _results()
    _boxes()
    _imports()


def downgrade() -> None:
    """Drop them with all they hold."""
    for name in ("reads", "vendor_outputs", "rejected_messages", "boxes", "repeated_seqs", "results"):
        op.drop_table(name)


def _results() -> None:
    op.create_table(
        "results",
        sa.Column("result_id", sa.String(64), primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("site", "device")),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("boot_id", sa.Text, nullable=False),
        sa.Column("exposure_id", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text) for name in ("study_id", "accession_id", "patient_id")),
        sa.Column("acquired_at", TIME),
        sa.Column("decided_at", TIME, nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("gate_status", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64)),
        sa.Column("flag", sa.String(16), nullable=False),
        *(sa.Column(name, sa.Float(53)) for name in ("probability", "score")),
        *(sa.Column(name, sa.Text) for name in ("view", "sex")),
        sa.Column("age_years", sa.Integer),
        sa.Column("model_name", sa.Text, nullable=False),
        sa.Column("model_version", sa.BigInteger, nullable=False),
        sa.Column("model_digest", sa.Text, nullable=False),
        sa.Column("total_ms", sa.Float(53), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    for name in ("exposure_id", "study_id", "accession_id", "received_at"):
        op.create_index(f"ix_results_{name}", "results", [name])
    op.create_index("ix_results_box_seq", "results", ["site", "device", "seq"])


def _boxes() -> None:
    op.create_table(
        "repeated_seqs",
        sa.Column("site", sa.Text, primary_key=True),
        sa.Column("device", sa.Text, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("result_id", sa.String(64), nullable=False),
    )
    op.create_table(
        "boxes",
        sa.Column("site", sa.Text, primary_key=True),
        sa.Column("device", sa.Text, primary_key=True),
        sa.Column("last_seq", sa.BigInteger),
        sa.Column("last_result_at", TIME),
        sa.Column("last_seen_at", TIME, nullable=False),
        sa.Column("status", sa.String(16)),
        sa.Column("status_at", TIME),
        sa.Column("health", sa.Text),
        sa.Column("health_at", TIME),
    )
    op.create_table(
        "rejected_messages",
        sa.Column("id", SERIAL, primary_key=True),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("topic", sa.String(256), nullable=False),
        sa.Column("error", sa.String(300), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
    )


def _imports() -> None:
    op.create_table(
        "vendor_outputs",
        sa.Column("output_id", sa.String(64), primary_key=True),
        sa.Column("system", sa.Text, nullable=False),
        sa.Column("vendor", sa.String(16), nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text) for name in ("exposure_id", "study_id", "accession_id", "patient_id")),
        sa.Column("positive", sa.Integer),
        *(sa.Column(name, sa.Float(53)) for name in ("score", "at_least")),
        sa.Column("score_scale", sa.String(8)),
        sa.Column("rule_version", sa.Text, nullable=False),
        sa.Column("raw_scores", sa.Text, nullable=False),
        sa.Column("imported_at", TIME, nullable=False),
    )
    op.create_table(
        "reads",
        sa.Column("read_id", sa.String(64), primary_key=True),
        sa.Column("reader", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text) for name in ("exposure_id", "study_id", "accession_id", "patient_id")),
        sa.Column("positive", sa.Integer, nullable=False),
        sa.Column("imported_at", TIME, nullable=False),
    )
    for table in ("vendor_outputs", "reads"):
        op.create_index(f"ix_{table}_exposure_id", table, ["exposure_id"])
