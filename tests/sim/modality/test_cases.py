"""Cases: half of the phantoms are ill, odd films stand between them, identifiers repeat with the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.modality.cases import (
    Case,
    Kind,
    NoFilms,
    Way,
    film_cases,
    ids_of,
    label_in,
    phantom_cases,
)


def test_half_of_the_chest_films_show_pneumonia():
    chests = [case for case in phantom_cases(24, seed=3, odd=True, files=True) if case.kind is Kind.CHEST]
    assert len(chests) == 24
    assert sum(case.label or 0 for case in chests) == 12


def test_every_kind_of_odd_film_is_there_once_and_has_no_label():
    odd = [case for case in phantom_cases(24, seed=3, odd=True, files=True) if case.kind is not Kind.CHEST]
    assert sorted(case.kind for case in odd) == sorted(set(Kind) - {Kind.CHEST})
    assert {case.label for case in odd} == {None}


def test_most_films_go_by_c_store_and_some_by_each_kind_of_file():
    ways = [case.way for case in phantom_cases(24, seed=1, odd=True, files=True)]
    assert {Way.FOLDER_DICOM, Way.FOLDER_JPEG, Way.FOLDER_PNG} < set(ways)
    assert ways.count(Way.C_STORE) > 0.7 * len(ways)


def test_some_films_are_sent_twice():
    assert sum(case.again for case in phantom_cases(24, seed=1, odd=True, files=True)) >= 2


def test_without_a_folder_everything_goes_by_c_store():
    assert {case.way for case in phantom_cases(9, seed=1, odd=False, files=False)} == {Way.C_STORE}


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_few_films_are_enough(count):
    cases = phantom_cases(count, seed=1, odd=True, files=True)
    assert [case.number for case in cases] == list(range(1, count + 5))


def test_the_same_run_gives_the_same_identifiers_and_another_run_others():
    case = Case(number=7, kind=Kind.CHEST, way=Way.C_STORE, seed=1)
    assert ids_of(case, "a") == ids_of(case, "a")
    assert ids_of(case, "a").sop_uid != ids_of(case, "b").sop_uid


def test_identifiers_fit_their_dicom_types():
    ids = ids_of(Case(number=9999, kind=Kind.CHEST, way=Way.C_STORE, seed=1), "run")
    assert len(ids.accession) <= 16
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in (ids.sop_uid, ids.study_uid, ids.series_uid))


def test_own_films_are_found_in_subfolders_and_lists_are_left_out(tmp_path):
    (tmp_path / "normal").mkdir()
    for name in ("normal/b.jpg", "a.dcm", "labels.csv", ".hidden", "c"):
        (tmp_path / name).write_bytes(b"x")
    cases = film_cases(tmp_path, seed=1)
    assert [case.source.name for case in cases] == ["a.dcm", "c", "b.jpg"]
    assert [case.label for case in cases] == [None, None, 0]


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(NoFilms, match=str(tmp_path)):
        film_cases(tmp_path, seed=1)


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("pneumonia/1.jpg", 1),
        ("x/NORMAL-12.png", 0),
        ("normal/pneumonia_3.jpg", 1),
        ("abnormal/1.jpg", None),
        ("1.jpg", None),
    ],
)
def test_a_path_says_what_its_film_shows(path, label):
    assert label_in(Path(path)) == label
