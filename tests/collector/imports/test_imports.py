"""Vendor outputs and reads: what is kept, what is refused, and that no patient is."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from collector.config import CollectorConfig, VendorConfig, VendorRule, VendorsConfig
from collector.imports.files import ImportFault
from collector.imports.rows import read_rows, vendor_rows
from collector.store.store import Store
from collector.store.tables import reads, vendor_outputs
from device.contract import IdentifierType, content_id, pseudonym

KEY = bytes(range(32))

LUNIT = {
    "version": "3.1.5.0",
    "score_scale": "0-100",
    "accession_number": "ACC-SECRET-1",
    "study_instance_uid": "1.2.3",
    "sop_instance_uid": "1.2.3.4",
    "patient_id": "PID-SECRET",
    "patient_name": "SECRET^NAME",
    "findings": [
        {"name": "Consolidation", "score": 73.2},
        {"name": "nodule", "score": 4.1},
        {"name": "pneumothorax", "score": None},
    ],
}


@pytest.fixture
def settings(key_file: Path) -> CollectorConfig:
    return CollectorConfig(site_key_file=key_file)


@pytest.fixture
def imported(tmp_path: Path, settings: CollectorConfig):
    def go(vendor: str, text: str, *, config: CollectorConfig | None = None, system: str | None = None):
        path = tmp_path / "file"
        path.write_text(text, encoding="utf-8")
        return vendor_rows(path, vendor, system or vendor, config or settings)

    return go


def test_a_lunit_record_becomes_keyed_scores_and_a_call(imported):
    (row,) = imported("lunit", json.dumps(LUNIT))
    assert row.exposure_id == pseudonym(KEY, IdentifierType.EXPOSURE, "1.2.3.4")
    assert row.study_id == pseudonym(KEY, IdentifierType.STUDY, "1.2.3")
    assert row.accession_id == pseudonym(KEY, IdentifierType.ACCESSION, "ACC-SECRET-1")
    assert (row.positive, row.score, row.at_least, row.rule_version) == (
        1,
        pytest.approx(0.732),
        0.15,
        "lunit-1",
    )
    assert (row.version, row.score_scale) == ("3.1.5.0", "0-100")
    assert row.raw_scores == {"consolidation": 73.2, "nodule": 4.1}


def test_the_patient_is_nowhere_in_the_database_file(imported, store: Store, tmp_path):
    store.put_imports(vendor_outputs, imported("lunit", json.dumps(LUNIT)))
    store.close()
    for path in tmp_path.glob("collector.sqlite*"):
        for secret in (b"SECRET", b"ACC-", b"1.2.3.4", b"PID"):
            assert secret not in path.read_bytes()


def test_an_object_a_list_and_lines_give_the_same_row(imported):
    one = imported("lunit", json.dumps(LUNIT))
    assert imported("lunit", json.dumps([LUNIT]))[0].output_id == one[0].output_id
    other = {**LUNIT, "sop_instance_uid": "1.2.3.5"}
    assert len(imported("lunit", f"{json.dumps(LUNIT)}\n\n{json.dumps(other)}\n")) == 2


def test_vuno_takes_the_higher_of_consolidation_and_interstitial_opacity(imported):
    record = {
        "version": "1.1.0",
        "score_scale": "0-1",
        "sop_instance_uid": "1",
        "results": [{"finding": "consolidation", "score": 0.1}, {"finding": "Interstitial_Opacity", "score": 0.7}],
    }
    (row,) = imported("vuno", json.dumps(record))
    assert (row.positive, row.score) == (1, 0.7)


def test_vunos_csv_keeps_an_empty_cell_missing_and_not_zero(imported):
    header = "version,score_scale,accession_number,study_instance_uid,sop_instance_uid"
    header += ",nodule,consolidation,interstitial_opacity"
    rows = imported("vuno", f"{header}\n1.1.0,0-1,,,1.1,0.9,,\n1.1.0,0-1,,,1.2,0.9,,0.6\n1.1.0,0-1,,,1.3,,0,0\n")
    assert [(row.positive, row.score) for row in rows] == [(None, None), (1, 0.6), (0, 0.0)]
    assert rows[1].raw_scores == {"nodule": 0.9, "interstitial opacity": 0.6}


def test_another_system_is_a_csv_of_labels_or_scores(imported):
    labelled = imported("csv", "sop_instance_uid,label,score\n1,0,0.9\n2,1,\n", system="radar")
    assert [(row.system, row.positive, row.rule_version) for row in labelled] == [
        ("radar", 0, "label"),
        ("radar", 1, "label"),
    ]
    scored = imported("csv", "sop_instance_uid,score\n1,0.9\n2,0.2\n3,\n")
    assert [row.positive for row in scored] == [1, 0, None]


def test_an_image_without_dicom_is_named_by_its_digest(imported):
    (row,) = imported("csv", f"content_sha256,label\n{'A1' * 32},1\n")
    assert row.exposure_id == content_id(KEY, "a1" * 32)


def test_the_rule_follows_the_vendors_version_and_is_kept(imported, key_file):
    rules = (
        VendorRule(rule_version="old", versions="3.1.*", findings=("consolidation",), at_least=0.8),
        VendorRule(rule_version="new", findings=("consolidation",), at_least=0.5),
    )
    vendors = VendorsConfig(lunit=VendorConfig(rules=rules))
    config = CollectorConfig(site_key_file=key_file, vendors=vendors)
    old = imported("lunit", json.dumps(LUNIT), config=config)[0]
    new = imported("lunit", json.dumps({**LUNIT, "version": "3.9"}), config=config)[0]
    assert (old.positive, old.rule_version, new.positive, new.rule_version) == (0, "old", 1, "new")


def test_a_sites_own_field_names_are_mapped(imported, key_file):
    fields = {
        "sop_instance_uid": "image.uid",
        "findings": "out.lesions",
        "finding_name": "label",
        "finding_score": "p",
        "version": "sw",
        "score_scale": "scale",
    }
    rules = (VendorRule(rule_version="r", findings=("consolidation",), at_least=0.5),)
    config = CollectorConfig(
        site_key_file=key_file, vendors=VendorsConfig(lunit=VendorConfig(rules=rules, fields=fields))
    )
    record = {
        "sw": "4",
        "scale": "0-1",
        "image": {"uid": "1.2"},
        "out": {"lesions": [{"label": "CONSOLIDATION", "p": 0.6}]},
    }
    (row,) = imported("lunit", json.dumps(record), config=config)
    assert (row.exposure_id, row.version, row.positive) == (pseudonym(KEY, IdentifierType.EXPOSURE, "1.2"), "4", 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score_scale": None}, "score_scale"),
        ({"score_scale": "percent SECRET"}, "score_scale"),
        ({"score_scale": "0-1"}, "outside of 0-1"),
        ({"findings": None}, "findings: expected a list"),
        ({"findings": [{"score": 3}]}, "finding 1"),
        ({"findings": [{"name": "consolidation", "score": "SECRET"}]}, "expected a number"),
        ({"findings": [{"name": "nodule", "score": 3}, {"name": "Nodule", "score": 4}]}, "another score"),
        ({"sop_instance_uid": None, "study_instance_uid": " ", "accession_number": ""}, "no exposure is named"),
        ({"sop_instance_uid": ["SECRET"]}, "expected text"),
        ({"exposure_id": "SECRET"}, "32 hex digits"),
        ({"exposure_id": "0" * 32}, "name different exposures"),
    ],
)
def test_the_message_on_a_bad_record_names_line_and_field_and_never_quotes_it(imported, change, message):
    with pytest.raises(ImportFault) as refused:
        imported("lunit", f"{json.dumps(LUNIT)}\n{json.dumps({**LUNIT, **change})}\n")
    assert "line 2" in str(refused.value)
    assert message in str(refused.value)
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "[1]", "\n\n", "SECRET^NAME,123,SECRET\n"])
def test_a_file_that_is_not_one_is_refused_without_quoting_it(imported, text):
    with pytest.raises(ImportFault) as refused:
        imported("lunit", text)
    assert "SECRET" not in str(refused.value)


def test_a_csv_without_a_header_does_not_print_a_patient(imported, tmp_path, settings):
    path = tmp_path / "reads.csv"
    path.write_text("R1,SECRET^NAME,1\nR2,SECRET^NAME,0\n")
    with pytest.raises(ImportFault) as refused:
        read_rows(path, settings)
    assert "SECRET" not in str(refused.value)


def test_two_contradicting_records_of_one_exposure_in_one_file_are_refused(imported):
    with pytest.raises(ImportFault, match="record 2: differs"):
        imported("csv", "sop_instance_uid,label\n1,0\n1,1\n")


def test_importing_again_changes_nothing_and_a_correction_is_counted(imported, store: Store):
    text = "sop_instance_uid,label\n1,0\n2,1\n"
    first = store.put_imports(vendor_outputs, imported("csv", text))
    again = store.put_imports(vendor_outputs, imported("csv", text))
    corrected = store.put_imports(vendor_outputs, imported("csv", text.replace("1,0", "1,1")))
    assert [(d.new, d.changed, d.unchanged) for d in (first, again, corrected)] == [(2, 0, 0), (0, 0, 2), (0, 1, 1)]
    assert len(store.rows(vendor_outputs)) == 2


def test_reads_are_keyed_counted_and_corrected(tmp_path, settings, store: Store):
    path = tmp_path / "reads.csv"
    path.write_text("reader,label,sop_instance_uid,remark\nR1,pneumonia,1.1,x\nR2,0,1.1,\nR1,normal,1.2,\n")
    assert store.put_imports(reads, read_rows(path, settings)).new == 3
    path.write_text(path.read_text().replace("R2,0", "R2,1"))
    done = store.put_imports(reads, read_rows(path, settings))
    assert (done.new, done.changed, done.unchanged) == (0, 1, 2)
    with sqlite3.connect(tmp_path / "collector.sqlite") as plain:
        columns = {row[1] for row in plain.execute("pragma table_info(reads)")}
    assert "remark" not in columns
