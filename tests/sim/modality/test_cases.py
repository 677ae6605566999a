"""Cases: half of the phantoms are positive, exposures to reject are among them, identifiers repeat with the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.modality.cases import (
    Case,
    CaseType,
    NoImages,
    Transport,
    file_cases,
    identifiers_of,
    label_in,
    phantom_cases,
)


def test_half_of_the_chest_phantoms_show_pneumonia():
    chests = [case for case in phantom_cases(24, seed=3, rejects=True, files=True) if case.case_type is CaseType.CHEST]
    assert len(chests) == 24
    assert sum(case.label or 0 for case in chests) == 12


def test_every_type_to_reject_occurs_once_and_has_no_label():
    to_reject = [
        case for case in phantom_cases(24, seed=3, rejects=True, files=True) if case.case_type is not CaseType.CHEST
    ]
    assert sorted(case.case_type for case in to_reject) == sorted(set(CaseType) - {CaseType.CHEST})
    assert {case.label for case in to_reject} == {None}


def test_most_exposures_go_by_c_store_and_some_as_each_type_of_file():
    transports = [case.transport for case in phantom_cases(24, seed=1, rejects=True, files=True)]
    assert {Transport.FOLDER_DICOM, Transport.FOLDER_JPEG, Transport.FOLDER_PNG} < set(transports)
    assert transports.count(Transport.C_STORE) > 0.7 * len(transports)


def test_some_exposures_are_sent_twice():
    assert sum(case.send_twice for case in phantom_cases(24, seed=1, rejects=True, files=True)) >= 2


def test_without_a_folder_everything_goes_by_c_store():
    assert {case.transport for case in phantom_cases(9, seed=1, rejects=False, files=False)} == {Transport.C_STORE}


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_a_few_phantoms_are_enough(count):
    cases = phantom_cases(count, seed=1, rejects=True, files=True)
    assert [case.number for case in cases] == list(range(1, count + 5))


def test_the_same_run_gives_the_same_identifiers_and_another_run_others():
    case = Case(number=7, case_type=CaseType.CHEST, transport=Transport.C_STORE, seed=1)
    assert identifiers_of(case, "a") == identifiers_of(case, "a")
    assert identifiers_of(case, "a").sop_uid != identifiers_of(case, "b").sop_uid


def test_identifiers_fit_their_dicom_types():
    ids = identifiers_of(Case(number=9999, case_type=CaseType.CHEST, transport=Transport.C_STORE, seed=1), "run")
    assert len(ids.accession) <= 16
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in (ids.sop_uid, ids.study_uid, ids.series_uid))


def test_images_in_subfolders_are_included_and_lists_are_left_out(tmp_path):
    (tmp_path / "normal").mkdir()
    for name in ("normal/b.jpg", "a.dcm", "labels.csv", ".hidden", "c"):
        (tmp_path / name).write_bytes(b"x")
    cases = file_cases(tmp_path, seed=1)
    assert [case.source.name for case in cases] == ["a.dcm", "c", "b.jpg"]
    assert [case.label for case in cases] == [None, None, 0]


def test_an_empty_folder_is_named_in_the_message(tmp_path):
    with pytest.raises(NoImages, match=str(tmp_path)):
        file_cases(tmp_path, seed=1)


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
def test_a_path_gives_the_label_of_its_image(path, label):
    assert label_in(Path(path)) == label
