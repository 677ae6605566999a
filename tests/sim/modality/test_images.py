"""Payloads: what is sent is a valid DX object that the box reads as intended."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO

import cv2
import numpy as np
import pytest
from pydicom import dcmread

from device.config import LimitsConfig
from device.contract import Source
from device.dicom.reader import open_image_file
from sim.modality.cases import Case, CaseType, Transport
from sim.modality.images import AcquiredImage, acquire, make_payload

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def case(case_type=CaseType.CHEST, transport=Transport.C_STORE, **more):
    return Case(number=3, case_type=case_type, transport=transport, seed=12, **more)


def acquired(side=256):
    ramp = np.tile(np.linspace(0, 16383, side).astype(np.uint16), (side, 1))
    return AcquiredImage(pixels=ramp, pixel_mm=0.14, sex="F", age_years=61)


def payload_of(case_type=CaseType.CHEST, transport=Transport.C_STORE):
    return make_payload(case(case_type, transport), acquired(), "run", lambda: NOW)


def opened(payload, tmp_path):
    path = tmp_path / f"image{payload.suffix}"
    path.write_bytes(payload.data)
    return open_image_file(path, LimitsConfig())


def test_the_box_reads_the_exposure_as_it_was_acquired(tmp_path):
    payload = payload_of()
    content = opened(payload, tmp_path)
    read = content.exposure
    assert (read.modality, read.view, read.age_years, read.sex, read.kvp) == ("DX", "PA", 61, "F", 125)
    assert read.acquired_at == NOW
    assert read.mas == pytest.approx(0.32 * 11, rel=0.3)
    assert content.identity.sop_uid == payload.sop_uid
    assert content.identity.accession == payload.identifiers.accession


def test_pixels_arrive_unchanged(tmp_path):
    assert np.array_equal(opened(payload_of(), tmp_path).load().pixels, acquired().pixels)


def test_the_object_states_that_it_is_simulated():
    ds = dcmread(BytesIO(payload_of().data))
    assert "simulated" in ds.ManufacturerModelName
    assert "not of a person" in ds.ImageComments
    assert str(ds.PatientName).startswith("SIMULATED^")


def test_for_presentation_has_a_window_and_for_processing_none():
    presentation, processing = (
        dcmread(BytesIO(payload_of(case_type).data)) for case_type in (CaseType.CHEST, CaseType.FOR_PROCESSING)
    )
    assert "WindowCenter" in presentation
    assert "WindowCenter" not in processing
    assert processing.SOPClassUID == "1.2.840.10008.5.1.4.1.1.1.1.1"


@pytest.mark.parametrize(
    ("case_type", "view", "body_part"), [(CaseType.LATERAL, "LATERAL", "CHEST"), (CaseType.HAND, "AP", "HAND")]
)
def test_exposures_to_reject_state_their_view_and_body_part(case_type, view, body_part, tmp_path):
    read = opened(payload_of(case_type), tmp_path).exposure
    assert read.body_part.upper() != "CHEST" if body_part == "HAND" else read.view.upper().startswith(("L", "R"))


def test_age_and_birth_date_agree():
    ds = dcmread(BytesIO(payload_of().data))
    born = ds.PatientBirthDate
    years = NOW.year - int(born[:4]) - (NOW.strftime("%m%d") < born[4:])
    assert f"{years:03d}Y" == ds.PatientAge


@pytest.mark.parametrize(("transport", "suffix"), [(Transport.FOLDER_JPEG, ".jpg"), (Transport.FOLDER_PNG, ".png")])
def test_pictures_are_sent_as_picture_files(transport, suffix, tmp_path):
    payload = payload_of(transport=transport)
    assert payload.suffix == suffix
    assert payload.sop_uid is None
    assert opened(payload, tmp_path).exposure.source is Source.FILE


def test_a_users_picture_becomes_a_full_size_dx_of_its_own_shape(tmp_path):
    picture = np.full((300, 400), 128, np.uint8)
    cv2.imwrite(str(tmp_path / "own.png"), picture)
    made = acquire(case(source=tmp_path / "own.png"))
    assert made.pixels.shape == (2304, 3072)
    assert made.pixels[1000, 1000] == pytest.approx(128 * 16383 / 255, abs=1)


def test_a_users_dicom_file_is_sent_byte_for_byte(tmp_path):
    original = payload_of().data
    (tmp_path / "own.dcm").write_bytes(original)
    own = case(source=tmp_path / "own.dcm")
    payload = make_payload(own, acquire(own), "run", lambda: NOW)
    assert payload.data == original
    assert payload.transport is Transport.C_STORE
    assert payload.sop_uid == payload_of().sop_uid


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\0" * 128 + b"DICM" + b"\xff" * 40])
def test_what_cannot_go_by_c_store_is_put_into_the_folder_as_it_is(tmp_path, content):
    (tmp_path / "broken.dcm").write_bytes(content)
    own = case(source=tmp_path / "broken.dcm")
    payload = make_payload(own, acquire(own), "run", lambda: NOW)
    assert payload.transport is Transport.FOLDER_AS_IS
    assert payload.data == content
