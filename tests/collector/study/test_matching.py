"""Matching by keyed identifiers, and the study that comes of it."""

from __future__ import annotations

import pytest

from collector.config import CompareConfig
from collector.study.identifiers import Identifiers
from collector.study.matching import (
    Film,
    Films,
    Found,
    Level,
    Miss,
    Said,
    settle,
)


def film(
    name: str,
    *,
    study: str | None = "s",
    accession: str | None = "a",
    at: str | None = "1",
    view: str = "PA",
    accepted: bool = True,
) -> Film:
    return Film(exposure_id=name, study_id=study, accession_id=accession, acquired_at=at, view=view, accepted=accepted)


def find(films: list[Film], repeats: str = "last", **named: str) -> Found | Miss:
    return Films(films, repeats=repeats).find(Identifiers(**named))


def test_an_exposure_named_is_that_exposure_or_none():
    films = [film("x"), film("y", at="2")]
    assert find(films, exposure_id="x", study_id="s") == Found(exposure_id="x", level=Level.EXPOSURE)
    assert find(films, exposure_id="unknown", study_id="s") is Miss.UNMATCHED


def test_a_study_with_one_film_is_that_film():
    assert find([film("x")], study_id="s") == Found(exposure_id="x", level=Level.STUDY)


def test_the_lateral_does_not_count_beside_the_frontal():
    films = [film("pa", at="1"), film("lateral", at="2", view="LL", accepted=False)]
    assert find(films, study_id="s") == Found(exposure_id="pa", level=Level.STUDY)


def test_of_a_repeat_the_last_film_is_meant_unless_the_site_says_otherwise():
    films = [film("repeat", at="2"), film("first", at="1")]
    assert find(films, study_id="s") == Found(exposure_id="repeat", level=Level.STUDY)
    assert find(films, "ambiguous", study_id="s") is Miss.AMBIGUOUS


@pytest.mark.parametrize(
    "films",
    [
        [film("pa", at="1"), film("ap", at="2", view="AP")],
        [film("x", at="1"), film("y", at="1")],
        [film("x", at="1"), film("y", at=None)],
    ],
)
def test_several_films_that_cannot_be_ordered_are_reported_and_not_guessed(films):
    assert find(films, study_id="s") is Miss.AMBIGUOUS


def test_an_accession_of_one_study_is_matched_and_of_two_is_not():
    assert find([film("x")], accession_id="a") == Found(exposure_id="x", level=Level.ACCESSION)
    assert find([film("x"), film("y", study="t", at="2")], accession_id="a") is Miss.AMBIGUOUS


def test_another_study_with_the_same_accession_is_not_taken():
    assert find([film("x")], study_id="other", accession_id="a") is Miss.UNMATCHED
    assert find([film("x", study=None)], study_id="other", accession_id="a") == Found(
        exposure_id="x", level=Level.ACCESSION
    )


def test_nothing_named_matches_nothing():
    assert find([film("x", accession=None)], accession_id="a") is Miss.UNMATCHED
    assert find([], study_id="s") is Miss.UNMATCHED


def said(level: Level, *, positive: bool | None) -> Said:
    return Said(record="r", level=level, positive=positive)


def test_the_more_exact_record_wins_and_a_contradiction_wins_nothing():
    exact, loose = said(Level.EXPOSURE, positive=True), said(Level.STUDY, positive=False)
    assert settle([loose, exact]) == exact
    assert settle([exact, said(Level.EXPOSURE, positive=False)]) is None
    assert settle([loose, loose]) == loose


def test_the_defaults_are_those_the_docs_name():
    assert CompareConfig().repeats == "last"
    assert CompareConfig().unclassified == "exclude"
    assert CompareConfig().review == "probability"
