"""Stores of earlier versions: they open, migrate, and every row is read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from collector.config import CompareConfig
from collector.store import queries
from collector.store.rows import Read, RejectedMessage, ResultRow, StudyResult, VendorOutput
from collector.store.store import HEAD, MIGRATIONS, Batch, Store
from collector.store.tables import results
from collector.study.from_store import stored_study

NOON_TEXT, NOON = "2026-11-23T12:00:00.250Z", datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)

# Rows as version 0001 wrote them: times as text, labels as 0 and 1, scores and health as JSON text.
RESULT = {
    "result_id": "a" * 32,
    "site": "site",
    "device": "box",
    "seq": 1,
    "boot_id": "boot",
    "exposure_id": "1" * 32,
    "study_id": "2" * 32,
    "accession_id": None,
    "patient_id": "3" * 32,
    "acquired_at": NOON_TEXT,
    "decided_at": NOON_TEXT,
    "received_at": NOON_TEXT,
    "gate_status": "accepted",
    "reason": None,
    "flag": "pneumonia",
    "probability": 0.875,
    "score": 0.75,
    "view": "PA",
    "sex": "F",
    "age_years": 50,
    "model_name": "net",
    "model_version": 1,
    "model_digest": "d" * 64,
    "total_ms": 7.0,
    "body": "{}",
}
UNCLASSIFIED = RESULT | {
    "result_id": "b" * 32,
    "seq": 2,
    "exposure_id": "4" * 32,
    "acquired_at": None,
    "gate_status": "rejected",
    "reason": "lateral_view",
    "flag": "unclassified",
    "probability": None,
    "score": None,
    "view": None,
    "sex": None,
    "age_years": None,
}
BOX = {
    "site": "site",
    "device": "box",
    "last_seq": 2,
    "last_result_at": NOON_TEXT,
    "last_seen_at": NOON_TEXT,
    "status": "online",
    "status_at": NOON_TEXT,
    "health": '{"spool_depth": 3}',
    "health_at": NOON_TEXT,
}
SILENT_BOX = dict.fromkeys(BOX) | {"site": "site", "device": "other", "last_seen_at": NOON_TEXT}
OUTPUT = {
    "output_id": "e" * 32,
    "system": "lunit",
    "vendor": "lunit",
    "version": "3.1.5.0",
    "exposure_id": "1" * 32,
    "study_id": None,
    "accession_id": None,
    "patient_id": None,
    "positive": 1,
    "score": 0.732,
    "at_least": 0.15,
    "score_scale": "0-100",
    "rule_version": "lunit-1",
    "raw_scores": '{"consolidation": 73.2}',
    "imported_at": NOON_TEXT,
}
NO_SCORE = OUTPUT | {
    "output_id": "f" * 32,
    "exposure_id": "4" * 32,
    "positive": None,
    "score": None,
    "raw_scores": "{}",
}
READ = {
    "read_id": "c" * 32,
    "reader": "R1",
    "exposure_id": "1" * 32,
    "study_id": None,
    "accession_id": None,
    "patient_id": None,
    "positive": 1,
    "imported_at": NOON_TEXT,
}
NORMAL_READ = READ | {"read_id": "d" * 32, "exposure_id": "4" * 32, "positive": 0}
REJECTED = {"received_at": NOON_TEXT, "topic": "t", "error": "e", "size_bytes": 3, "sha256": "f" * 64}
ROWS = {
    "results": [RESULT, UNCLASSIFIED],
    "repeated_seqs": [{"site": "site", "device": "box", "seq": 3, "result_id": "a" * 32}],
    "boxes": [BOX, SILENT_BOX],
    "vendor_outputs": [OUTPUT, NO_SCORE],
    "reads": [READ, NORMAL_READ],
    "rejected_messages": [REJECTED],
}


@pytest.fixture
def v0001(tmp_path: Path) -> Path:
    """A store whose schema is that of migration 0001, filled by plain SQL."""
    path = tmp_path / "earlier.sqlite"
    engine = create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    with sqlite3.connect(path) as plain:
        for table, rows in ROWS.items():
            for row in rows:
                marks = ", ".join("?" * len(row))
                plain.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))  # noqa: S608  # names of this file
    plain.close()
    return path


@pytest.fixture
def store(v0001: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{v0001}")
    opened.migrate()
    yield opened
    opened.close()


def python_values(row: dict[str, object]) -> dict[str, object]:
    """The row as typed values, without the store's own code."""
    values = {name: NOON if name.endswith("_at") and value else value for name, value in row.items()}
    for name in {"raw_scores", "health"} & set(values):
        values[name] = json.loads(str(values[name]))
    return values


def test_the_first_schema_is_revision_0001_and_migrating_keeps_every_row(v0001, store):
    with sqlite3.connect(v0001) as plain:
        assert plain.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]
        counts = {table: plain.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ROWS}  # noqa: S608
    plain.close()
    assert counts == {table: len(rows) for table, rows in ROWS.items()}


def test_every_result_is_read_whole(store):
    expected = [python_values(row) for row in ROWS["results"]]
    assert [row._asdict() for row in store.rows(results)] == expected
    names = StudyResult._fields
    assert queries.study_results(store) == [StudyResult(**{name: row[name] for name in names}) for row in expected]
    assert [row.seq for row in queries.latest_results(store)] == [2, 1]


def test_every_vendor_output_and_read_is_read_whole(store):
    assert queries.vendor_outputs(store) == [VendorOutput(**python_values(row)) for row in ROWS["vendor_outputs"]]
    assert [output.positive for output in queries.vendor_outputs(store)] == [True, None]
    assert queries.reads(store) == [Read(**python_values(row)) for row in ROWS["reads"]]
    assert [read.positive for read in queries.reads(store)] == [True, False]


def test_every_box_and_rejected_message_is_read_whole(store):
    box, silent = queries.all_boxes(store)
    assert (box.last_seq, box.last_seen_at, box.status, box.health) == (2, NOON, "online", {"spool_depth": 3})
    assert (box.results, box.missing) == (2, 0)
    assert (silent.last_seq, silent.last_result_at, silent.status, silent.health) == (None, None, None, {})
    assert queries.rejected(store) == [RejectedMessage(**python_values(REJECTED))]


def test_its_comparison_counts_every_row(store):
    study = stored_study(store, CompareConfig())
    assert dict(study.reference.labels) == {"1" * 32: True, "4" * 32: False}
    box, lunit = study.comparison(resamples=100).systems
    assert (box.name, box.matrix.tp, box.matrix.n) == ("pneumoflag", 1, 1)
    assert box.excluded["unclassified"] == ("4" * 32,)
    assert (lunit.name, lunit.matrix.tp, lunit.matrix.n) == ("lunit", 1, 1)
    assert lunit.excluded["no_score"] == ("4" * 32,)


def test_a_new_row_has_the_same_text_as_an_old_one(v0001, store):
    """So an earlier version still reads it."""
    result = ResultRow(**python_values(RESULT) | {"result_id": "9" * 32})
    assert store.commit(Batch(results=(result,))) == 1
    with sqlite3.connect(v0001) as plain:
        plain.row_factory = sqlite3.Row
        row = dict(plain.execute("SELECT * FROM results WHERE result_id = ?", ("9" * 32,)).fetchone())
    plain.close()
    assert row == RESULT | {"result_id": "9" * 32}
