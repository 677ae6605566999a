"""From the store's rows to a study: reads, boxes and vendors are matched, and what is left out is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.config import CollectorConfig, CompareConfig
from collector.imports.rows import read_rows, vendor_rows
from collector.ingest.messages import parse_message, to_batch
from collector.store import tables
from collector.study.counting_rules import age_band
from collector.study.from_store import stored_study
from collector.study.study import to_json
from device.contract import Flag


@pytest.fixture
def put(store, tmp_path: Path, key_file: Path, a_message):
    settings = CollectorConfig(site_key_file=key_file)

    def fill(*, results=(), reads: str = "", lunit: str = "", csv: str = "", system: str = "csv") -> None:
        store.commit(to_batch(parse_message(a_message(result)) for result in results))
        path = tmp_path / "import.csv"
        for text, table, rows in (
            (reads, tables.reads, lambda: read_rows(path, settings)),
            (lunit, tables.vendor_outputs, lambda: vendor_rows(path, "lunit", "lunit", settings)),
            (csv, tables.vendor_outputs, lambda: vendor_rows(path, "csv", system, settings)),
        ):
            if text:
                path.write_text(text)
                store.put_imports(table, rows())

    return fill


def figures(store, **options):
    study = stored_study(store, CompareConfig(**options))
    return to_json(study, study.comparison(resamples=100))


def matrix(comparison, name: str) -> tuple[int, int, int, int]:
    return tuple(comparison["systems"][name][cell] for cell in ("tn", "fp", "fn", "tp"))


READS = "reader,label,sop_instance_uid\n" + "".join(f"R1,{int(n > 2)},1.2.{n}\n" for n in range(1, 5))


def test_an_empty_store_gives_an_empty_comparison(store):
    comparison = figures(store)
    assert comparison["systems"] == {}
    assert comparison["pairs"] == []
    assert comparison["reference"]["cases"] == 0


def test_box_and_vendor_are_compared_on_the_reads(store, put, a_result):
    flags = [(1, Flag.CLEAR, 0.1), (2, Flag.PNEUMONIA, 0.9), (3, Flag.PNEUMONIA, 0.8), (4, Flag.REVIEW, 0.55)]
    put(
        results=[a_result(n, flag=flag, probability=p) for n, flag, p in flags],
        reads=READS,
        csv="sop_instance_uid,label\n1.2.1,0\n1.2.2,0\n1.2.3,0\n1.2.4,1\n",
        system="radar",
    )
    comparison = figures(store)
    assert matrix(comparison, "pneumoflag") == (1, 1, 0, 2)
    assert matrix(comparison, "radar") == (2, 0, 1, 1)
    assert [(pair["a"], pair["b"]) for pair in comparison["pairs"]] == [("pneumoflag", "radar")]
    assert comparison["systems"]["pneumoflag"]["roc_auc"]["value"] == 0.5


@pytest.mark.parametrize(("review", "expected"), [("probability", (0, 1)), ("pneumonia", (0, 2)), ("normal", (2, 0))])
def test_review_flags_count_as_configured(store, put, a_result, review, expected):
    put(
        results=[a_result(3, flag=Flag.REVIEW, probability=0.55), a_result(4, flag=Flag.REVIEW, probability=0.45)],
        reads=READS,
    )
    comparison = figures(store, review=review)
    fn, tp = matrix(comparison, "pneumoflag")[2:]
    assert (fn, tp) == ((1, 1) if review == "probability" else expected)
    assert "review flags" in comparison["counting"]
    assert comparison["counting"]["model of the boxes"] == f"net v1 ({'d' * 12})"


def test_unclassified_exposures_are_left_out_and_listed_or_counted_as_wrong(store, put, a_result):
    put(results=[a_result(n, flag=Flag.UNCLASSIFIED) for n in (1, 3)] + [a_result(2), a_result(4)], reads=READS)
    left_out = figures(store)
    assert matrix(left_out, "pneumoflag") == (1, 0, 1, 0)
    assert left_out["excluded"]["pneumoflag"]["unclassified"]["count"] == 2
    wrong = figures(store, unclassified="wrong")
    assert matrix(wrong, "pneumoflag") == (1, 1, 2, 0)
    assert wrong["systems"]["pneumoflag"]["roc_auc"] is None


def test_two_models_on_the_same_exposures_are_two_systems(store, put, a_result):
    put(results=[a_result(n, digest=d * 64, version=v) for n in (1, 3) for d, v in (("a", 1), ("b", 2))], reads=READS)
    assert list(figures(store)["systems"]) == ["pneumoflag v1", "pneumoflag v2"]


def test_two_versions_of_a_vendor_are_two_systems(store, put, a_result):
    lines = [
        f'{{"version": "{v}", "score_scale": "0-1", "sop_instance_uid": "1.2.1",'
        f' "findings": [{{"name": "consolidation", "score": 0.1}}]}}'
        for v in ("3.1", "3.9")
    ]
    put(results=[a_result(1)], reads=READS, lunit="\n".join(lines))
    comparison = figures(store)
    assert list(comparison["systems"]) == ["pneumoflag", "lunit 3.1", "lunit 3.9"]
    rule = "rule lunit-1, pneumonia from 0.15 (on 0-1), scores 0-1"
    assert comparison["counting"]["lunit calls"] == f"version 3.1, {rule}; version 3.9, {rule}"


def test_everything_left_out_is_counted_by_reason(store, put, a_result):
    put(
        results=[
            a_result(1),
            a_result(2),
            a_result(3, study="s", view="PA"),
            a_result(4, study="s", view="AP"),
            a_result(5),
        ],
        reads=READS + "R1,1,1.2.99\n",
        csv="sop_instance_uid,study_instance_uid,label,score\n1.2.1,,0,\n1.2.2,,,\n,s,1,\n1.2.77,,1,\n",
    )
    comparison = figures(store)
    out = {reason: group["count"] for reason, group in comparison["excluded"]["csv"].items()}
    assert out == {"no_score": 1, "ambiguous": 1, "unmatched": 1, "missing_in_system": 2}
    assert comparison["unread"] == 1
    assert any("not in the store" in note for note in comparison["notes"])


def test_a_tie_is_no_reference_and_is_listed_for_every_system(store, put, a_result):
    put(results=[a_result(1), a_result(3)], reads=READS + "R2,1,1.2.1\n")
    comparison = figures(store)
    assert len(comparison["reference"]["ties"]) == 1
    assert comparison["excluded"]["pneumoflag"]["readers_tied"]["count"] == 1
    assert comparison["systems"]["pneumoflag"]["n"] == 1


def test_a_repeat_in_a_study_is_matched_to_the_last_exposure(store, put, a_result):
    put(
        results=[a_result(1, study="s", minutes=1), a_result(3, study="s", minutes=9)],
        reads=READS,
        csv="study_instance_uid,label\ns,1\n",
    )
    assert matrix(figures(store), "csv") == (0, 0, 0, 1)
    assert figures(store, repeats="ambiguous")["systems"]["csv"]["n"] == 0


def test_several_exposures_of_one_patient_are_noted(store, put, a_result):
    put(results=[a_result(n, patient="p") for n in (1, 2, 3)], reads=READS)
    assert any("Exposures: 3, patients: 1." in note for note in figures(store)["notes"])


def test_subgroups_divide_the_cases_by_the_exposures_attributes(store, put, a_result):
    put(results=[a_result(n, view="PA" if n < 3 else "AP") for n in range(1, 5)], reads=READS)
    groups = {(g["attribute"], g["value"]): g["systems"]["pneumoflag"] for g in figures(store)["subgroups"]}
    assert {key: system["n"] for key, system in groups.items()} == {("view", "AP"): 2, ("view", "PA"): 2}


@pytest.mark.parametrize(
    ("years", "band"),
    [
        (None, None),
        (3, "under 20"),
        (20, "20-39"),
        (59, "40-59"),
        (79, "60-79"),
        (80, "80 and over"),
        (104, "80 and over"),
    ],
)
def test_ages_fall_into_bands(years, band):
    assert age_band(years) == band
