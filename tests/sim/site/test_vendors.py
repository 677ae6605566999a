"""Vendors: the drawn scores are right as often as they should be, and the collector imports the files."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.config import CollectorConfig
from collector.imports.rows import read_rows, vendor_rows
from sim.modality.manifest import (
    Manifest,
    ManifestError,
    SentExposure,
    read_manifest,
)
from sim.site.vendors import (
    LUNIT,
    LUNIT_FINDINGS,
    VUNO,
    draw_score,
    write_outputs,
)


def sent_exposure(number, label=0, **changes):
    exposure = SentExposure(
        case_id=f"case-{number:04d}",
        case_type="chest",
        transport="c-store",
        finding="",
        label=label,
        invented=False,
        patient_id=f"P{number}",
        accession_number=f"A{number}",
        study_instance_uid=f"2.25.{number}1",
        sop_instance_uid=f"2.25.{number}2",
        content_sha256=f"{number:064x}",
        answered_at=datetime(2026, 1, 2, tzinfo=UTC),
        tries=1,
        times_sent=1,
        source="",
    )
    return replace(exposure, **changes)


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.mark.parametrize("accuracy", [LUNIT, VUNO])
@pytest.mark.parametrize("label", [0, 1])
def test_calls_are_right_as_often_as_the_accuracy_says(accuracy, label):
    rng = np.random.default_rng(4)
    calls = np.mean([draw_score(label, accuracy, rng) >= accuracy.threshold for _ in range(20_000)])
    assert calls == pytest.approx(accuracy.sensitivity if label else 1 - accuracy.specificity, abs=0.012)


@given(label=st.integers(0, 1), seed=st.integers(0, 2**32))
def test_a_score_lies_between_0_and_1(label, seed):
    assert 0 <= draw_score(label, LUNIT, np.random.default_rng(seed)) <= 1


def test_the_files_identify_exposures_and_leave_out_those_without_a_label(tmp_path):
    exposures = [
        sent_exposure(1, 1),
        sent_exposure(2, 0),
        sent_exposure(3, None),
        sent_exposure(4, 1, sop_instance_uid="", study_instance_uid=""),
    ]
    files = write_outputs(exposures, tmp_path, seed=1)
    records = [json.loads(line) for line in files.lunit.read_text().splitlines()]
    assert [len(record["findings"]) for record in records] == [len(LUNIT_FINDINGS)] * 3
    assert "content_sha256" not in records[0]
    assert records[2]["content_sha256"] == exposures[3].content_sha256
    reads = rows_of(files.reads)
    assert Counter(read["reader"] for read in reads) == {"R1": 3, "R2": 3, "R3": 3}
    assert len(rows_of(files.vuno)) == 3


def test_two_files_of_one_exposure_are_one_record(tmp_path):
    files = write_outputs([sent_exposure(1, 1), sent_exposure(2, 1, sop_instance_uid="2.25.12")], tmp_path, seed=1)
    assert len(files.lunit.read_text().splitlines()) == 1


def test_the_same_seed_gives_the_same_files(tmp_path):
    exposures = [sent_exposure(n, n % 2) for n in range(30)]
    texts = [write_outputs(exposures, tmp_path / name, seed=5).vuno.read_text() for name in ("a", "b")]
    assert texts[0] == texts[1]


def test_readers_sometimes_disagree(tmp_path):
    files = write_outputs([sent_exposure(n, n % 2) for n in range(200)], tmp_path, seed=2)
    wrong = Counter()
    for read in rows_of(files.reads):
        wrong[read["reader"]] += int(read["label"]) != int(read["accession_number"][1:]) % 2
    assert 0 < wrong["R1"] < wrong["R3"] < 40


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    exposures = (sent_exposure(1, 1), sent_exposure(2, None), sent_exposure(3, 0, invented=True))
    manifest = Manifest(tmp_path / "manifest.csv")
    for sent in exposures:
        manifest.add(sent)
    assert read_manifest(manifest.path) == exposures


def test_a_file_that_is_not_a_manifest_is_reported_with_its_row(tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ManifestError, match=r"other\.csv, row 2"):
        read_manifest(tmp_path / "other.csv")


@pytest.mark.parametrize("vendor", ["lunit", "vuno"])
def test_the_collector_reads_the_outputs_and_derives_the_same_calls(tmp_path, vendor):
    key = tmp_path / "site.key"
    key.touch(mode=0o600)
    key.write_text("ab" * 32)
    config = CollectorConfig(site_key_file=key)
    files = write_outputs([sent_exposure(n, n % 2) for n in range(300)], tmp_path, seed=3)
    rows = vendor_rows(getattr(files, vendor), vendor, vendor, config)
    accuracy = LUNIT if vendor == "lunit" else VUNO
    positives = [row.positive for number, row in enumerate(rows) if number % 2]
    negatives = [row.positive for number, row in enumerate(rows) if not number % 2]
    assert np.mean(positives) == pytest.approx(accuracy.sensitivity, abs=0.06)
    assert 1 - np.mean(negatives) == pytest.approx(accuracy.specificity, abs=0.12)
    assert len(read_rows(files.reads, config)) == 900
