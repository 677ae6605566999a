"""Films: what is sent is a sound DX object that the box reads as it was meant."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO

import cv2
import numpy as np
import pytest
from pydicom import dcmread

from device.config import LimitsConfig
from device.contract import Source
from device.dicom.reader import open_film
from sim.modality.cases import Case, Kind, Way
from sim.modality.images import Exposed, expose, pack

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def case(kind=Kind.CHEST, way=Way.C_STORE, **more):
    return Case(number=3, kind=kind, way=way, seed=12, **more)


def exposed(side=256):
    ramp = np.tile(np.linspace(0, 16383, side).astype(np.uint16), (side, 1))
    return Exposed(pixels=ramp, pixel_mm=0.14, sex="F", age_years=61)


def packed(kind=Kind.CHEST, way=Way.C_STORE):
    return pack(case(kind, way), exposed(), "run", lambda: NOW)


def opened(parcel, tmp_path):
    path = tmp_path / f"film{parcel.suffix}"
    path.write_bytes(parcel.data)
    return open_film(path, LimitsConfig())


def test_the_box_reads_the_exposure_as_it_was_made(tmp_path):
    parcel = packed()
    film = opened(parcel, tmp_path)
    read = film.exposure
    assert (read.modality, read.view, read.age_years, read.sex, read.kvp) == ("DX", "PA", 61, "F", 125)
    assert read.acquired_at == NOW
    assert read.mas == pytest.approx(0.32 * 11, rel=0.3)
    assert film.identity.sop_uid == parcel.sop_uid
    assert film.identity.accession == parcel.ids.accession


def test_pixels_arrive_as_they_left(tmp_path):
    assert np.array_equal(opened(packed(), tmp_path).load().pixels, exposed().pixels)


def test_the_object_says_that_it_is_simulated():
    ds = dcmread(BytesIO(packed().data))
    assert "simulated" in ds.ManufacturerModelName
    assert "not of a person" in ds.ImageComments
    assert str(ds.PatientName).startswith("SIMULATED^")


def test_for_presentation_has_a_window_and_for_processing_none():
    shown, raw = (dcmread(BytesIO(packed(kind).data)) for kind in (Kind.CHEST, Kind.FOR_PROCESSING))
    assert "WindowCenter" in shown
    assert "WindowCenter" not in raw
    assert raw.SOPClassUID == "1.2.840.10008.5.1.4.1.1.1.1.1"


@pytest.mark.parametrize(("kind", "view", "body_part"), [(Kind.LATERAL, "LATERAL", "CHEST"), (Kind.HAND, "AP", "HAND")])
def test_odd_films_say_what_they_are(kind, view, body_part, tmp_path):
    read = opened(packed(kind), tmp_path).exposure
    assert read.body_part.upper() != "CHEST" if body_part == "HAND" else read.view.upper().startswith(("L", "R"))


def test_age_and_birth_date_agree():
    ds = dcmread(BytesIO(packed().data))
    born = ds.PatientBirthDate
    years = NOW.year - int(born[:4]) - (NOW.strftime("%m%d") < born[4:])
    assert f"{years:03d}Y" == ds.PatientAge


@pytest.mark.parametrize(("way", "suffix"), [(Way.FOLDER_JPEG, ".jpg"), (Way.FOLDER_PNG, ".png")])
def test_pictures_are_pictures(way, suffix, tmp_path):
    parcel = packed(way=way)
    assert parcel.suffix == suffix
    assert parcel.sop_uid is None
    assert opened(parcel, tmp_path).exposure.source is Source.FILE


def test_an_own_picture_becomes_a_full_size_dx_with_its_own_shape(tmp_path):
    picture = np.full((300, 400), 128, np.uint8)
    cv2.imwrite(str(tmp_path / "own.png"), picture)
    made = expose(case(source=tmp_path / "own.png"))
    assert made.pixels.shape == (2304, 3072)
    assert made.pixels[1000, 1000] == pytest.approx(128 * 16383 / 255, abs=1)


def test_an_own_dicom_travels_byte_for_byte(tmp_path):
    original = packed().data
    (tmp_path / "own.dcm").write_bytes(original)
    own = case(source=tmp_path / "own.dcm")
    parcel = pack(own, expose(own), "run", lambda: NOW)
    assert parcel.data == original
    assert parcel.way is Way.C_STORE
    assert parcel.sop_uid == packed().sop_uid


@pytest.mark.parametrize("content", [b"", b"no film at all", b"\0" * 128 + b"DICM" + b"\xff" * 40])
def test_what_cannot_go_by_c_store_goes_by_the_folder_as_it_is(tmp_path, content):
    (tmp_path / "broken.dcm").write_bytes(content)
    own = case(source=tmp_path / "broken.dcm")
    parcel = pack(own, expose(own), "run", lambda: NOW)
    assert parcel.way is Way.FOLDER_AS_IS
    assert parcel.data == content
