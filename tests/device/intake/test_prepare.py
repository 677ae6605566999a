"""Odd files of every kind, each to its decision. The exposures are made here; those of others are in test_odd_files."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from device.contract import Caveat, Reason
from device.dicom.reader import Refused, read_grey
from device.intake.gate import Accepted
from tests.support import dicom_files as dicom
from tests.support.dicom_files import make_compressed, make_dx, ramp
from tests.support.exposures import prepared, reason

JPEG_LOSSLESS, J2K, HTJ2K = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201"
BASELINE, EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
MPEG, PROGRESSIVE, JPEG_XL = "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.55", "1.2.840.10008.1.2.4.110"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "exposure"


@pytest.fixture
def grey(tmp_path: Path) -> np.ndarray:
    """What the plain exposure becomes: every other way to write the same exposure must become the same."""
    return read_grey(make_dx(tmp_path / "plain"))


def test_a_plain_exposure_is_accepted_with_its_facts(file):
    exposure = prepared(make_dx(file))
    assert exposure.decision == Accepted()
    assert (exposure.image.shape, exposure.image.dtype) == ((224, 224), np.uint8)
    assert exposure.thumbnail.startswith(b"\xff\xd8")
    assert (exposure.exposure.modality, exposure.exposure.body_part, exposure.exposure.view) == ("DX", "CHEST", "PA")
    assert (exposure.exposure.age_years, exposure.exposure.kvp, exposure.exposure.mas) == (66, 125.0, 2.5)
    assert exposure.exposure.acquired_at.isoformat() == "2026-11-23T00:31:07.250000+00:00"
    assert exposure.identity.patient_name == dicom.PATIENT_NAME


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_other_plain_transfer_syntaxes_give_the_same_image(file, grey, syntax):
    assert (prepared(make_dx(file, transfer_syntax=syntax)).image == grey).all()


def test_a_big_endian_exposure_gives_the_same_image(file, grey):
    exposure = ramp().astype(">u2")
    assert (prepared(make_dx(file, exposure, transfer_syntax=ExplicitVRBigEndian)).image == grey).all()


def test_an_exposure_without_preamble_and_meta_group_gives_the_same_image(file, grey):
    assert (prepared(dicom.bare(file)).image == grey).all()


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (JPEG_LOSSLESS, lambda exposure: imagecodecs.ljpeg_encode(exposure, bitspersample=14)),
        (JPEG_LOSSLESS, lambda exposure: imagecodecs.ljpeg_encode(exposure, bitspersample=16)),
        (JPEGLSLossless, imagecodecs.jpegls_encode),
        (J2K, lambda exposure: imagecodecs.jpeg2k_encode(exposure, level=0, codecformat="j2k", bitspersample=14)),
        (J2K, lambda exposure: imagecodecs.jpeg2k_encode(exposure, level=0, codecformat="jp2")),
        (HTJ2K, lambda exposure: imagecodecs.htj2k_encode(exposure, reversible=True)),
    ],
)
def test_lossless_codecs_give_the_same_image(file, grey, syntax, encode):
    exposure = ramp()
    assert (prepared(make_compressed(file, encode(exposure), syntax, exposure)).image == grey).all()


def test_run_lengths_give_the_same_image(file, grey):
    ds = dicom.dataset()
    ds.file_meta = Dataset()
    ds.compress(RLELossless, ramp(), encoding_plugin="pydicom", generate_instance_uid=False)
    file.write_bytes(dicom.to_bytes(ds, RLELossless))
    assert (prepared(file).image == grey).all()


def test_a_compressed_exposure_labelled_as_plain_is_read_by_its_own_marks(file, grey):
    exposure = ramp()
    path = make_compressed(file, imagecodecs.jpegls_encode(exposure), JPEGLSLossless, exposure)
    content = path.read_bytes()
    old, new = JPEGLSLossless.encode() + b"\0\0"[: len(JPEGLSLossless) % 2], b"1.2.840.10008.1.2.1"
    path.write_bytes(content.replace(old, new.ljust(len(old), b"\0")))
    assert (prepared(path).image == grey).all()


@pytest.mark.parametrize("syntax", [BASELINE, EXTENDED])
def test_8_bit_jpeg_is_read_nearly_as_it_was(file, syntax):
    exposure = ramp(bits=8).astype(np.uint8)
    path = make_compressed(file, imagecodecs.jpeg8_encode(exposure, level=98), syntax, exposure, WindowCenter=None)
    expected = read_grey(make_dx(file.with_name("plain"), exposure, WindowCenter=None))
    assert np.abs(prepared(path).image.astype(int) - expected).max() <= 3
    assert prepared(path).decision == Accepted(caveats=(Caveat.WINDOW_MISSING,))


def test_12_bit_jpeg_extended_is_read(file):
    exposure = ramp(bits=12)
    frame = imagecodecs.jpeg_encode(exposure, level=98, bitspersample=12)
    path = make_compressed(file, frame, EXTENDED, exposure, BitsStored=12, HighBit=11)
    assert prepared(path).decision == Accepted()


@pytest.mark.parametrize("syntax", [MPEG, PROGRESSIVE, JPEG_XL, "1.2.3.4.5.6.7"])
def test_a_syntax_nobody_decodes_is_named(file, syntax):
    assert reason(make_compressed(file, b"\0\0\1\xb3", syntax, ramp())) is Reason.UNSUPPORTED_TRANSFER_SYNTAX


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Modality": "CT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, Reason.WRONG_MODALITY),
        ({"Modality": "MG"}, Reason.WRONG_MODALITY),
        ({"Modality": None, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11"}, Reason.WRONG_MODALITY),
        ({"Modality": None, "SOPClassUID": dicom.SECONDARY_CAPTURE}, Reason.WRONG_MODALITY),
        ({"Modality": None}, None),
        ({"Modality": "CR", "SOPClassUID": dicom.CR}, None),
        ({"Modality": "CR", "SOPClassUID": dicom.SECONDARY_CAPTURE}, None),
        ({"Modality": "cr "}, None),
        ({"PixelData": None}, Reason.NO_PIXELS),
        ({"PixelData": b""}, Reason.NO_PIXELS),
        ({"PresentationIntentType": "FOR PROCESSING"}, Reason.FOR_PROCESSING),
        ({"SOPClassUID": dicom.DX_FOR_PROCESSING}, Reason.FOR_PROCESSING),
        ({"BodyPartExamined": "HAND"}, Reason.NOT_CHEST),
        ({"BodyPartExamined": None, "SeriesDescription": "KNEE AP"}, Reason.NOT_CHEST),
        ({"BodyPartExamined": None, "AnatomicRegionSequence": [dicom.code_item("T-D8810", "Hand")]}, Reason.NOT_CHEST),
        ({"BodyPartExamined": None, "AnatomicRegionSequence": [dicom.code_item("51185008", "Chest")]}, None),
        ({"ViewPosition": "LL"}, Reason.LATERAL_VIEW),
        ({"ViewPosition": "LLD"}, Reason.LATERAL_VIEW),
        ({"ViewPosition": None, "SeriesDescription": "Chest LAT"}, Reason.LATERAL_VIEW),
        (
            {"ViewPosition": None, "ViewCodeSequence": [dicom.code_item("399173006", "left lateral")]},
            Reason.LATERAL_VIEW,
        ),
        ({"ViewPosition": None, "PatientOrientation": ["A", "F"]}, Reason.LATERAL_VIEW),
        ({"PatientAge": "019Y"}, Reason.MINOR),
        ({"PatientAge": "006M"}, Reason.MINOR),
        ({"PatientAge": "3W"}, Reason.MINOR),
        ({"PatientAge": None, "PatientBirthDate": "20061124"}, Reason.MINOR),
        ({"PatientAge": "", "PatientBirthDate": "20061123"}, None),
        ({"PatientAge": "garbage", "PatientBirthDate": "20101123"}, Reason.MINOR),
        ({"PatientAge": "999Y", "PatientBirthDate": "19600314"}, None),
        ({"PatientAge": "51"}, None),
        ({"Rows": 0}, Reason.UNREADABLE),
        ({"Rows": None}, Reason.UNREADABLE),
        ({"BitsAllocated": 12}, Reason.UNREADABLE),
        ({"Rows": 321}, Reason.UNREADABLE),
        ({"Rows": 65535, "Columns": 65535}, Reason.TOO_LARGE),
        ({"SamplesPerPixel": 3}, Reason.UNREADABLE),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, Reason.UNREADABLE),
    ],
)
def test_headers_get_their_reason(file, changes, expected):
    assert reason(make_dx(file, **changes)) is expected


@pytest.mark.parametrize(
    ("changes", "caveat"),
    [
        ({"ViewPosition": None, "SeriesDescription": None}, Caveat.VIEW_MISSING),
        ({"PatientAge": None, "PatientBirthDate": None}, Caveat.AGE_MISSING),
        ({"PatientAge": None, "PatientBirthDate": "19000101"}, Caveat.AGE_MISSING),
        ({"BodyPartExamined": None, "SeriesDescription": None}, Caveat.BODY_PART_MISSING),
        ({"WindowCenter": None}, Caveat.WINDOW_MISSING),
        ({"WindowWidth": "0"}, Caveat.WINDOW_MISSING),
        ({"PixelData": ramp().tobytes() + bytes(64)}, Caveat.PIXEL_DATA_LENGTH),
        ({"NumberOfFrames": "2", "PixelData": ramp().tobytes() * 2}, Caveat.MULTI_FRAME),
    ],
)
def test_oddities_are_caveats_of_a_classified_exposure(file, changes, caveat):
    assert prepared(make_dx(file, **changes)).decision == Accepted(caveats=(caveat,))


def test_of_several_frames_the_first_is_taken(file, grey):
    both = ramp().tobytes() + (16383 - ramp()).tobytes()
    assert (prepared(make_dx(file, NumberOfFrames="2", PixelData=both)).image == grey).all()


def test_a_number_of_frames_that_is_no_number_counts_as_one(file, grey):
    content = make_dx(file, NumberOfFrames="11").read_bytes()
    file.write_bytes(content.replace(b"IS\x02\x0011", b"IS\x02\x001A"))
    assert (prepared(file).image == grey).all()


def test_one_byte_of_padding_is_no_caveat(file):
    exposure = ramp(225, 301, bits=8).astype(np.uint8)
    assert exposure.size % 2 == 1
    assert prepared(make_dx(file, exposure, PixelData=exposure.tobytes() + b"\0")).decision == Accepted()


def test_overlay_bits_and_a_shift_change_nothing(file, grey):
    shifted = (ramp() << 1) | np.uint16(0x8001)
    assert (prepared(make_dx(file, shifted, HighBit=14)).image == grey).all()


def test_signed_values_are_signed(file, grey):
    exposure = (ramp().astype(np.int32) - 8192).astype(np.int16)
    path = make_dx(file, exposure, PixelRepresentation=1, WindowCenter=0, BitsStored=16, HighBit=15)
    assert np.abs(prepared(path).image.astype(int) - grey).max() <= 1
    fourteen = exposure.view(np.uint16) & np.uint16(0x3FFF)
    assert (
        prepared(make_dx(file, fourteen, PixelRepresentation=1, WindowCenter=0)).image == prepared(path).image
    ).all()


def test_monochrome1_and_an_inverse_shape_invert_once(file, grey):
    for changes in (
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PresentationLUTShape": "INVERSE"},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    ):
        assert (prepared(make_dx(file, **changes)).image == 255 - grey).all()


def test_a_voi_lut_goes_before_the_window_and_a_signed_first_entry_counts(file, grey):
    table = list(range(0, 65536, 4))
    assert np.abs(read_grey(make_dx(file, VOILUTSequence=[dicom.lut_item(0, table)])).astype(int) - grey).max() <= 1
    exposure = (ramp().astype(np.int32) - 8192).astype(np.int16)
    lut = [dicom.lut_item(-8192, table)]
    path = make_dx(file, exposure, PixelRepresentation=1, BitsStored=16, HighBit=15, VOILUTSequence=lut)
    assert np.abs(read_grey(path).astype(int) - grey).max() <= 1


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_voi_lut_may_begin_below_0_where_the_rescale_does(file, grey, syntax):
    below = [dicom.lut_item(-2048, list(range(0, 65536, 4)))]
    exposure = make_dx(file, transfer_syntax=syntax, RescaleIntercept="-2048", VOILUTSequence=below)
    assert np.abs(read_grey(exposure).astype(int) - grey).max() <= 1


def test_a_voi_lut_of_values_above_0_begins_above_0(file, grey):
    table = [dicom.lut_item(40000, list(range(0, 65536, 4)))]
    exposure = make_dx(file, RescaleIntercept="40000", VOILUTSequence=table)
    assert np.abs(read_grey(exposure).astype(int) - grey).max() <= 1


def test_an_8_bit_lut_in_words_and_a_broken_one(file, grey):
    packed_bytes = dicom.lut_item(0, [n * 256 // 16384 for n in range(16384)], bits=8)
    assert np.abs(read_grey(make_dx(file, VOILUTSequence=[packed_bytes])).astype(int) - grey).max() <= 1
    cut_off = dicom.lut_item(0, [1, 2, 3])
    cut_off.LUTDescriptor = [4000, 0, 16]
    with pytest.raises(Refused, match="header_contradictory"):
        read_grey(make_dx(file, VOILUTSequence=[cut_off]))


def test_the_first_of_several_windows_and_its_function_count(file):
    sigmoid = read_grey(make_dx(file, WindowCenter=["8192", "1"], WindowWidth=["4000", "1"], VOILUTFunction="SIGMOID"))
    exposure = read_grey(make_dx(file, WindowCenter="8192", WindowWidth="4000"))
    assert 0 < np.abs(sigmoid.astype(int) - exposure).max() < 40
    assert sigmoid[0, 0] < 5
    assert sigmoid[-1, -1] > 250


def test_colour_becomes_brightness(file):
    exposure = np.zeros((300, 260, 3), np.uint8)
    exposure[:150] = (255, 0, 0)
    exposure[150:] = (0, 255, 0)
    exposure[100:200] = (0, 0, 255)
    changes = {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 0, "WindowCenter": None}
    by_pixel = prepared(make_dx(file, exposure, **changes))
    assert by_pixel.decision == Accepted()
    assert (by_pixel.image[0, 0], by_pixel.image[-1, -1]) == (76, 150)
    changes["PlanarConfiguration"] = 1
    by_plane = make_dx(
        file, exposure, PixelData=np.ascontiguousarray(np.moveaxis(exposure, -1, 0)).tobytes(), **changes
    )
    assert (prepared(by_plane).image == by_pixel.image).all()


def test_a_palette_is_applied_before_the_average(file):
    exposure = np.tile(np.array([0, 2], np.uint8), (300, 130))
    levels = np.array([0, 65535, 0], "<u2").tobytes()
    changes = {f"{c}PaletteColorLookupTableDescriptor": [3, 0, 16] for c in ("Red", "Green", "Blue")}
    changes |= {f"{c}PaletteColorLookupTableData": levels for c in ("Red", "Green", "Blue")}
    path = make_dx(file, exposure, PhotometricInterpretation="PALETTE COLOR", BitsStored=8, HighBit=7, **changes)
    # The mean of the indices 0 and 2 is 1, which would be white.
    assert (read_grey(path) == 0).all()


@pytest.mark.parametrize("kept", [0, 1, 100, 131, 132, 140, 301, 701])
def test_a_file_cut_off_in_its_header_is_unreadable(file, kept):
    content = make_dx(file).read_bytes()
    file.write_bytes(content[:kept])
    assert reason(file) is Reason.UNREADABLE


def test_a_file_cut_off_in_its_pixels_is_unreadable(file):
    content = make_dx(file).read_bytes()
    file.write_bytes(content[:-1000])
    assert reason(file) is Reason.UNREADABLE
    exposure = ramp()
    content = make_compressed(file, imagecodecs.jpegls_encode(exposure), JPEGLSLossless, exposure).read_bytes()
    file.write_bytes(content[:-1000])
    assert reason(file) is Reason.UNREADABLE


def test_a_broken_codestream_of_an_acceptable_exposure_is_unreadable(file):
    exposure = ramp()
    for frame in (b"", b"\xff\xd8\xff", b"nonsense" * 40, imagecodecs.jpegls_encode(ramp(100, 100))):
        assert reason(make_compressed(file, frame, JPEGLSLossless, exposure)) is Reason.UNREADABLE


@pytest.mark.parametrize("syntax", [JPEG_LOSSLESS, J2K])
def test_a_codestream_that_claims_to_be_huge_never_reaches_a_decoder(file, syntax):
    sof = struct.pack(">BBHBHHB", 0xFF, 0xC3, 11, 16, 65500, 65500, 1) + bytes([1, 0x11, 0])
    siz = struct.pack(">HHIIIIIIIIHBBB", 41, 0, 60000, 60000, 0, 0, 60000, 60000, 0, 0, 1, 15, 1, 1)
    frame = b"\xff\xd8" + sof if syntax == JPEG_LOSSLESS else b"\xff\x4f\xff\x51" + siz
    assert reason(make_compressed(file, frame + bytes(100), syntax, ramp())) is Reason.TOO_LARGE


def test_a_deflated_bomb_is_too_large(file):
    content = make_dx(file, transfer_syntax=DeflatedExplicitVRLittleEndian).read_bytes()
    dataset_at = 132 + 12 + struct.unpack_from("<L", content, 140)[0]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    private = packer.compress(struct.pack("<HH2sHL", 0x0009, 0x1010, b"OB", 0, 40 << 20))
    zeros = b"".join(packer.compress(bytes(1 << 20)) for _ in range(40))
    file.write_bytes(content[:dataset_at] + private + zeros + packer.flush())
    assert file.stat().st_size < 100_000
    assert reason(file, max_file_bytes=16 << 20) is Reason.TOO_LARGE


def test_thousands_of_nested_sequences_are_unreadable(file):
    file.write_bytes(dicom.nested_sequences(3000))
    assert reason(file) is Reason.UNREADABLE


@pytest.mark.parametrize(
    ("exposure", "changes"),
    [
        (np.zeros((320, 256), np.uint16), {}),
        (np.full((320, 256), 16383, np.uint16), {}),
        (np.full((320, 256), 5000, np.uint16), {"WindowCenter": None}),
        (ramp(), {"WindowCenter": "1e30"}),
        (ramp(), {"WindowWidth": "1e30"}),
        (ramp(), {"RescaleSlope": "1e308", "RescaleIntercept": "1e308"}),
        (ramp(), {"RescaleSlope": "1e308", "WindowCenter": None}),
        (ramp(1, 1), {}),
        (ramp(1, 500), {}),
        (ramp(31, 500), {}),
    ],
)
def test_an_exposure_that_shows_nothing_gets_no_flag(file, exposure, changes):
    rejected = prepared(make_dx(file, exposure, **changes))
    assert rejected.decision.reason is Reason.OUT_OF_DISTRIBUTION
    assert (rejected.image, rejected.thumbnail) == (None, None)


@pytest.mark.parametrize(("exposure", "changes"), [(ramp(32, 32), {}), (ramp(), {"WindowWidth": "300000"})])
def test_a_small_or_a_pale_exposure_is_an_exposure(file, exposure, changes):
    assert isinstance(prepared(make_dx(file, exposure, **changes)).decision, Accepted)


def test_a_file_above_the_limit_is_not_read(file):
    make_dx(file)
    assert reason(file, max_file_bytes=1 << 20) is None
    with file.open("r+b") as stream:
        stream.truncate(3 << 20)
    assert reason(file, max_file_bytes=1 << 20) is Reason.TOO_LARGE


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello, world\n" * 50,
        bytes(5000),
        b"\xff" * 5000,
        b"DICM" + bytes(100),
        *(magic + bytes(500) for magic in (b"%PDF-1.7\n", b"PK\x03\x04", b"GIF89a", b"BM", b"II*\0")),
    ],
)
def test_what_is_no_exposure_is_unreadable(file, content):
    file.write_bytes(content)
    assert reason(file) is Reason.UNREADABLE


def test_what_is_no_file_is_unreadable(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "loop", tmp_path / "absent", Path("/dev/zero")):
        assert reason(path) is Reason.UNREADABLE


def test_a_link_to_an_exposure_is_an_exposure(tmp_path, grey):
    (tmp_path / "link").symlink_to(make_dx(tmp_path / "exposure"))
    assert (prepared(tmp_path / "link").image == grey).all()


def test_training_reads_what_the_box_reads(file):
    assert (read_grey(make_dx(file)) == prepared(file).image).all()
    file.write_bytes(b"text")
    with pytest.raises(Refused, match="unreadable"):
        read_grey(file)


def test_no_attribute_of_the_patient_gets_into_the_exposure(file):
    name = dicom.PATIENT_NAME
    changes = dict.fromkeys(["Modality", "BodyPartExamined", "ViewPosition", "PatientSex", "SeriesDescription"], name)
    exposure = prepared(make_dx(file, **changes))
    assert "Helen" not in repr(exposure.exposure)
    assert reason(file) is Reason.WRONG_MODALITY
