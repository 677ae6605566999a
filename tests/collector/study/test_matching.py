"""Matching by keyed identifiers, and the study that comes of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from collector.config import CompareConfig
from collector.store.rows import Identifiers
from collector.study.matching import (
    ExposureIndex,
    Level,
    Match,
    MatchedRecord,
    NoMatch,
    StoredExposure,
    consistent_record,
)


def exposure(
    name: str,
    *,
    study: str | None = "s",
    accession: str | None = "a",
    at: int | None = 1,
    view: str = "PA",
    accepted: bool = True,
) -> StoredExposure:
    return StoredExposure(
        exposure_id=name,
        study_id=study,
        accession_id=accession,
        acquired_at=None if at is None else datetime(2026, 11, 23, 12, at, tzinfo=UTC),
        view=view,
        accepted=accepted,
    )


def match(exposures: list[StoredExposure], repeats: str = "last", **record: str) -> Match | NoMatch:
    return ExposureIndex(exposures, repeats=repeats).match(Identifiers(**record))


def test_a_record_that_names_an_exposure_matches_it_or_nothing():
    exposures = [exposure("x"), exposure("y", at=2)]
    assert match(exposures, exposure_id="x", study_id="s") == Match(exposure_id="x", level=Level.EXPOSURE)
    assert match(exposures, exposure_id="unknown", study_id="s") is NoMatch.UNMATCHED


def test_a_study_with_one_exposure_is_that_exposure():
    assert match([exposure("x")], study_id="s") == Match(exposure_id="x", level=Level.STUDY)


def test_the_lateral_does_not_count_beside_the_frontal():
    exposures = [exposure("pa", at=1), exposure("lateral", at=2, view="LL", accepted=False)]
    assert match(exposures, study_id="s") == Match(exposure_id="pa", level=Level.STUDY)


def test_of_a_repeat_the_last_exposure_is_meant_unless_configured_otherwise():
    exposures = [exposure("repeat", at=2), exposure("first", at=1)]
    assert match(exposures, study_id="s") == Match(exposure_id="repeat", level=Level.STUDY)
    assert match(exposures, "ambiguous", study_id="s") is NoMatch.AMBIGUOUS


@pytest.mark.parametrize(
    "exposures",
    [
        [exposure("pa", at=1), exposure("ap", at=2, view="AP")],
        [exposure("x", at=1), exposure("y", at=1)],
        [exposure("x", at=1), exposure("y", at=None)],
    ],
)
def test_several_exposures_without_an_order_are_ambiguous(exposures):
    assert match(exposures, study_id="s") is NoMatch.AMBIGUOUS


def test_an_accession_of_one_study_is_matched_and_of_two_is_not():
    assert match([exposure("x")], accession_id="a") == Match(exposure_id="x", level=Level.ACCESSION)
    assert match([exposure("x"), exposure("y", study="t", at=2)], accession_id="a") is NoMatch.AMBIGUOUS


def test_another_study_with_the_same_accession_is_not_taken():
    assert match([exposure("x")], study_id="other", accession_id="a") is NoMatch.UNMATCHED
    assert match([exposure("x", study=None)], study_id="other", accession_id="a") == Match(
        exposure_id="x", level=Level.ACCESSION
    )


def test_a_record_of_nothing_stored_matches_nothing():
    assert match([exposure("x", accession=None)], accession_id="a") is NoMatch.UNMATCHED
    assert match([], study_id="s") is NoMatch.UNMATCHED


def record(level: Level, *, positive: bool | None) -> MatchedRecord:
    return MatchedRecord(level=level, positive=positive)


def test_the_most_exact_record_counts_and_contradicting_ones_do_not():
    exact, loose = record(Level.EXPOSURE, positive=True), record(Level.STUDY, positive=False)
    assert consistent_record([loose, exact]) == exact
    assert consistent_record([exact, record(Level.EXPOSURE, positive=False)]) is None
    assert consistent_record([loose, loose]) == loose


def test_the_defaults_are_those_of_the_docs():
    assert CompareConfig().repeats == "last"
    assert CompareConfig().unclassified == "exclude"
    assert CompareConfig().review == "probability"
