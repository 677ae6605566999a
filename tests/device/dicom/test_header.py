"""Ages, times and other facts of headers as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from device.dicom import attributes, dates, header
from device.dicom.vocabulary import View
from tests.support.dicom_files import code_item, dataset


def made(**changes: object) -> Dataset:
    return dataset(**changes)


@pytest.mark.parametrize(
    ("stated", "years"),
    [
        ("045Y", 45),
        ("45Y", 45),
        ("045y", 45),
        ("45", 45),
        ("006M", 0),
        ("030M", 2),
        ("3W", 0),
        ("200W", 3),
        ("010D", 0),
        ("000Y", 0),
        ("120Y", 120),
        (" 045Y ", 45),
        ("Y045", 45),
        ("45.0", 45),
        ("4,5Y", 4),
        ("12YR", 12),
        ("12 years", 12),
        ("12Y6M", 12),
        ("11Y18M", 12),
        ("150M", 12),
        ("12세", 12),
        ("１２岁", 12),
    ],
)
def test_ages_are_read_as_they_are_written(stated, years):
    assert dates.age_of(made(PatientAge=stated, PatientBirthDate=None)) == years


@pytest.mark.parametrize("stated", ["", "   ", "121Y", "9999Y", "unknown", "-5Y"])
def test_an_age_that_is_none_falls_back_to_the_birth_date(stated):
    assert dates.age_of(made(PatientAge=stated, PatientBirthDate="19600314")) == 66
    assert dates.age_of(made(PatientAge=stated, PatientBirthDate=None)) is None


@pytest.mark.parametrize(
    ("born", "taken", "years"),
    [
        ("20061123", "20261123", 20),
        ("20061124", "20261123", 19),
        ("20080229", "20260228", 17),
        ("1960.03.14", "20261123", 66),
        ("1960-03-14", "20261123", 66),
        ("19601399", "20261123", None),
        ("19000101", "20261123", None),
        ("20300101", "20261123", None),
        ("18500101", "20261123", None),
    ],
)
def test_the_age_is_that_on_the_day_of_the_exposure(born, taken, years):
    assert dates.age_of(made(PatientAge=None, PatientBirthDate=born, AcquisitionDate=taken)) == years


@pytest.mark.parametrize(
    ("born", "years"),
    [
        ("2010", 15),
        ("201001", 15),
        ("2010-1-5", 15),
        ("01.05.2010", 15),
        ("1/5/2010", 15),
        ("2010-01", 15),
        ("2026", 0),
        ("20261201", 0),
        ("1960", 65),
        ("1900", None),
        ("5.2010", None),
        ("99999999", None),
    ],
)
def test_a_birth_date_that_is_not_whole_is_read_as_the_last_day_of_its_year(born, years):
    assert dates.age_of(made(PatientAge=None, PatientBirthDate=born, AcquisitionDate="20261123")) == years


@pytest.mark.parametrize(
    ("stated", "born", "years"),
    [
        ("045Y", "20200101", 6),
        ("010Y", "19600101", 10),
        ("006M", "19600101", 0),
        ("000Y", "19600101", 66),
        ("0", "19600101", 66),
        ("000Y", "20260101", 0),
        ("065Y", "19600101", 65),
        ("067Y", "1960", 65),
        ("045Y", "19000101", 45),
        ("045Y", "unknown", 45),
    ],
)
def test_where_age_and_birth_date_disagree_the_younger_holds_unless_the_age_is_an_unfilled_0(stated, born, years):
    assert dates.age_of(made(PatientAge=stated, PatientBirthDate=born, AcquisitionDate="20261123")) == years


def test_the_day_of_the_exposure_may_stand_elsewhere():
    assert dates.age_of(made(PatientAge=None, AcquisitionDate=None, StudyDate="20261123")) == 66
    assert dates.age_of(made(PatientAge=None, AcquisitionDate=None, StudyDate=None)) is None


@pytest.mark.parametrize(
    ("changes", "utc_time"),
    [
        ({}, "2026-11-23T00:31:07.250000+00:00"),
        ({"AcquisitionDateTime": "20261123120000.5-0500"}, "2026-11-23T17:00:00.500000+00:00"),
        ({"AcquisitionTime": None}, "2026-11-23T00:30:00+00:00"),
        ({"AcquisitionTime": "0931"}, "2026-11-23T00:31:00+00:00"),
        ({"AcquisitionTime": "24:99"}, "2026-11-23T00:30:00+00:00"),
    ],
)
def test_the_time_of_the_exposure_is_in_utc(changes, utc_time):
    assert dates.acquired_at(made(**changes)).isoformat() == utc_time


def test_without_any_date_there_is_no_time():
    assert dates.acquired_at(made(AcquisitionDate=None, StudyDate=None)) is None
    assert dates.acquired_at(made(AcquisitionDate="00010101", StudyDate=None)) is None


@pytest.mark.parametrize(
    ("changes", "mas"),
    [
        ({}, 2.5),
        ({"ExposureInuAs": None, "Exposure": "3"}, 3.0),
        ({"ExposureInuAs": None}, 2.56),
        ({"ExposureInuAs": None, "ExposureTime": None}, None),
        ({"ExposureInuAs": "0", "ExposureTime": None}, None),
        ({"ExposureInuAs": None, "XRayTubeCurrent": "1e300", "ExposureTime": "1e300"}, None),
    ],
)
def test_the_exposure_in_mas_is_found_wherever_it_stands(changes, mas):
    assert header._mas(made(**changes)) == mas


def test_the_first_source_that_names_a_view_decides():
    everything = {
        "ViewPosition": "PA",
        "ViewCodeSequence": [code_item("399173006", "left lateral")],
        "PatientOrientation": ["A", "F"],
        "SeriesDescription": "CHEST LAT",
    }
    assert header.view_of(made(**everything)) is View.PA
    assert header.view_of(made(**everything | {"ViewPosition": "YES"})) is View.LATERAL
    frontal = {"ViewPosition": None, "PatientOrientation": ["L", "F"], "SeriesDescription": "CHEST LAT"}
    assert header.view_of(made(**frontal)) is View.FRONTAL
    assert header.view_of(made(**frontal | {"PatientOrientation": None})) is View.LATERAL


@pytest.mark.parametrize("keyword", ["PerformedProcedureStepDescription", "AcquisitionDeviceProcessingCode"])
def test_a_lateral_view_that_only_the_step_or_its_processing_names_is_found(keyword):
    silent = {"ViewPosition": None, "SeriesDescription": None}
    assert header.view_of(made(**silent, **{keyword: "CHEST LAT"})) is View.LATERAL
    assert header.view_of(made(**silent, **{keyword: "CHEST PA AND LAT"})) is None


def test_a_modifier_turns_a_frontal_view_oblique():
    view = code_item("399348003", "antero-posterior")
    view.ViewModifierCodeSequence = [code_item("399182000", "oblique")]
    assert header.view_of(made(ViewPosition=None, ViewCodeSequence=[view])) is View.OBLIQUE


def test_the_studys_description_names_a_part_but_no_view():
    silent = {"BodyPartExamined": None, "ViewPosition": None, "SeriesDescription": None}
    study = made(**silent, StudyDescription="CHEST LAT")
    assert header.body_part_of(study) == "CHEST"
    assert header.view_of(study) is None


def test_the_sop_class_speaks_where_the_modality_is_silent():
    for sop_class, modality in [
        ("1.2.840.10008.5.1.4.1.1.1", "CR"),
        ("1.2.840.10008.5.1.4.1.1.1.1", "DX"),
        ("1.2.840.10008.5.1.4.1.1.1.2", "MG"),
        ("1.2.840.10008.5.1.4.1.1.2.1", "CT"),
        ("1.2.840.10008.5.1.4.1.1.88.33", "OTHER"),
    ]:
        assert header.modalities_of(made(Modality=None, SOPClassUID=sop_class), Dataset()) == (modality,)
    assert header.modalities_of(made(Modality=None, SOPClassUID="1.2.3"), Dataset()) == ()


def test_values_that_break_the_standard_count_as_not_said():
    odd = made(Rows=None, KVP=None)
    odd.add_new("KVP", "LO", "high")
    assert attributes.number(odd, "KVP") is None
    assert attributes.integer(odd, "Rows") is None
    assert attributes.number(made(WindowCenter=["10", "20"]), "WindowCenter") == 10.0
    assert attributes.items(odd, "KVP") == []
    assert attributes.texts(odd, "Nonsense") == []


def test_counts_beyond_all_exposures_count_as_not_said():
    odd = made(Rows=None)
    odd.add_new("Rows", "DS", "1e300")
    assert header.exposure_of(odd, Dataset(), "1.2.840.10008.1.2").rows is None


@given(st.binary(max_size=64))
def test_no_bytes_in_a_name_are_a_fault(content):
    odd = Dataset()
    odd.add_new("PatientName", "PN", content)
    odd.add_new("PatientID", "LO", content)
    identity = header.identity_of(odd, Dataset())
    for value in (identity.patient_name, identity.patient_id):
        assert value is None or value.encode("utf-8").decode("utf-8").isprintable()
