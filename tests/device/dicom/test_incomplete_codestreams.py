"""A codestream of which a part is missing is never decoded as if it were whole, whatever the codec."""

from __future__ import annotations

import contextlib
import io
import subprocess
from collections.abc import Iterable
from shutil import which

import imagecodecs
import numpy as np
import pytest

from device.contract import Reason
from device.dicom import codecs, raster
from device.dicom.layout import layout_of
from tests.support.codestreams import BASELINE, ENCODERS, LOSSLESS, Image, cuts, holes, phantom
from tests.support.dicom_files import dataset, make_compressed, make_dx
from tests.support.exposures import prepared, reason

PLACES = 5
LOSSY = {"baseline", "progressive", "extended", "near", "lossy"}


def decode(name: str, frame: bytes) -> np.ndarray:
    syntax = ENCODERS[name][0]
    image = phantom() >> 4 if syntax == BASELINE else phantom()
    bits = {"BitsAllocated": 8} if syntax == BASELINE else {}
    layout = layout_of(dataset(image.astype(np.uint16), **bits), little_endian=True)
    return codecs.decoded(frame, syntax, layout, 1 << 24)


def accepted(name: str, damaged: Iterable[tuple[str, bytes]]) -> list[str]:
    """Which of the damaged codestreams are decoded, and not to the whole picture: a last bit may make no difference."""
    whole = decode(name, bytes(ENCODERS[name][1]()))
    passed = []
    for what, frame in damaged:
        with contextlib.suppress(codecs.CodecFault, codecs.FrameTooLarge):
            if not np.array_equal(decode(name, frame), whole):
                passed.append(what)
    return passed


@pytest.mark.parametrize("name", ENCODERS)
def test_a_whole_codestream_is_decoded(name):
    samples = decode(name, bytes(ENCODERS[name][1]()))
    expected = phantom() >> 4 if samples.dtype == np.uint8 else phantom()
    lossy = any(word in name for word in LOSSY)
    assert np.abs(samples.astype(int) - expected).mean() <= (20 if lossy else 0)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_codestream_that_is_cut_off_is_refused(name):
    assert accepted(name, cuts(bytes(ENCODERS[name][1]()), PLACES)) == []


@pytest.mark.parametrize("name", ENCODERS)
def test_a_codestream_with_a_large_hole_is_refused(name):
    assert accepted(name, holes(bytes(ENCODERS[name][1]()), PLACES, sizes=(600, 2000))) == []


def test_the_refusal_says_what_is_missing():
    frame = bytes(ENCODERS["lossless"][1]())
    with pytest.raises(codecs.CodecFault, match=r"rows from 0 end \d+ bits early"):
        decode("lossless", frame[:-5000] + b"\xff\xd9")
    with pytest.raises(codecs.CodecFault, match="the end mark is missing"):
        decode("lossless", frame[:-5000])
    frame = bytes(ENCODERS["baseline, restart intervals"][1]())
    at = frame.index(b"\xff\xd2")
    with pytest.raises(codecs.CodecFault, match="restart marker 3"):
        decode("baseline, restart intervals", frame[:at] + frame[at + 2 :])


def test_a_cut_exposure_is_rejected_with_its_detail(tmp_path):
    frame = bytes(ENCODERS["baseline"][1]())
    image = (phantom() >> 4).astype(np.uint8)
    for share in (95, 90, 85):
        cut = frame[: len(frame) * share // 100] + b"\xff\xd9"
        path = make_compressed(tmp_path / "cut.dcm", cut, BASELINE, image, WindowCenter=None)
        decision = prepared(path).decision
        assert (decision.reason, decision.detail) == (
            Reason.UNREADABLE,
            "the coded data of a scan or restart interval end early",
        )


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True, "restart_marker_rows": 1}])
def test_jpeg_files_of_every_make_are_read_whole_and_refused_cut(tmp_path, mode, options):
    buffer = io.BytesIO()
    Image.fromarray((phantom() >> 4).astype(np.uint8)).convert(mode).save(buffer, "JPEG", quality=90, **options)
    content = buffer.getvalue()
    path = tmp_path / "cut.jpg"
    path.write_bytes(content)
    whole = prepared(path).image
    assert whole.shape == (224, 224)
    for what, cut in cuts(content, PLACES):
        path.write_bytes(cut)
        exposure = prepared(path)
        # The last bits of a progressive picture may make no difference.
        assert exposure.image is None or np.array_equal(exposure.image, whole), what


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "I;16"])
def test_png_files_cut_holed_or_sealed_again_are_refused(tmp_path, mode):
    buffer = io.BytesIO()
    image = Image.fromarray((phantom() >> 4).astype(np.uint8))
    image = Image.fromarray(phantom()) if mode == "I;16" else image.convert(mode)
    image.save(buffer, "PNG")
    content = buffer.getvalue()
    assert raster.decode(content).shape == (300, 260)
    end = content[-12:]
    path = tmp_path / "cut.png"
    for kept in (len(content) // 3, len(content) * 9 // 10, len(content) - 20):
        for damaged in (content[:kept], content[:kept] + end, content[:kept] + bytes(60) + content[kept + 60 :]):
            path.write_bytes(damaged)
            assert reason(path) is Reason.UNREADABLE


def test_stray_bytes_in_a_jpeg_header_are_skipped_as_libjpeg_does(tmp_path):
    frame = bytes(ENCODERS["baseline"][1]())
    path = tmp_path / "junk.jpg"
    path.write_bytes(frame[:20] + b"\x00\x12\x34" + frame[20:])
    assert reason(path) is None


@pytest.mark.parametrize("point_transform", [0, 1, 2, 4])
@pytest.mark.parametrize("predictor", [1, 6])
def test_a_point_transform_is_shifted_back_as_dcmtk_does(tmp_path, point_transform, predictor):
    if not which("dcmcjpeg"):
        pytest.skip("DCMTK is not installed")
    plain = make_dx(tmp_path / "plain", BitsStored=14, HighBit=13)
    compressed, expected = tmp_path / "compressed", tmp_path / "expected"
    options = ["+el", "+sv", str(predictor), "+pt", str(point_transform), "+ua"]
    subprocess.run(["dcmcjpeg", *options, plain, compressed], check=True, capture_output=True)
    subprocess.run(["dcmdjpeg", compressed, expected], check=True, capture_output=True)
    made = prepared(compressed).image
    assert np.abs(made.astype(int) - prepared(plain).image).max() <= (1 if point_transform < 4 else 2)
    assert np.abs(made.astype(int) - prepared(expected).image).max() <= 2


def test_ljpeg_that_pads_with_zeros_is_whole():
    for columns in range(200, 216):
        image = phantom(100, columns)
        frame = imagecodecs.ljpeg_encode(image, bitspersample=12)
        layout = layout_of(dataset(image), little_endian=True)
        assert (codecs.decoded(frame, LOSSLESS, layout, 1 << 24) == image).all()


def test_jpeg_ls_without_an_end_mark_is_refused_at_once():
    frame = bytes(ENCODERS["JPEG-LS, near lossless"][1]())
    with pytest.raises(codecs.CodecFault, match="end mark"):
        decode("JPEG-LS, near lossless", frame[: len(frame) // 20])
