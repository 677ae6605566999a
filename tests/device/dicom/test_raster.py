"""Pictures without DICOM: JPEG and PNG of every kind."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from device.contract import Caveat, Reason, Source
from device.intake.gate import Accepted
from tests.support.dicom_files import ramp
from tests.support.exposures import prepared, reason

PICTURE = (Caveat.NOT_DICOM, Caveat.VIEW_MISSING, Caveat.AGE_MISSING)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_accepted_with_their_caveats(tmp_path, suffix, channels):
    exposure = cv2.resize(ramp(bits=8).astype(np.uint8), (224, 224))
    picture = exposure if channels == 1 else np.repeat(exposure[..., None], 3, axis=2)
    path = tmp_path / f"exposure{suffix}"
    cv2.imwrite(str(path), picture)
    made = prepared(path)
    assert made.decision == Accepted(caveats=PICTURE)
    assert (made.exposure.source, made.exposure.rows) == (Source.FILE, 224)
    assert np.abs(made.image.astype(int) - exposure).max() <= (0 if suffix == ".png" else 6)


def test_alpha_and_palette_do_not_disturb(tmp_path):
    exposure = cv2.resize(ramp(bits=8).astype(np.uint8), (224, 224))
    cv2.imwrite(str(tmp_path / "alpha.png"), np.dstack([exposure, exposure, exposure, np.full_like(exposure, 128)]))
    assert (prepared(tmp_path / "alpha.png").image == exposure).all()


def test_a_16_bit_png_is_stretched_over_its_own_range(tmp_path):
    cv2.imwrite(str(tmp_path / "deep.png"), ramp(bits=12) + np.uint16(1000))
    made = prepared(tmp_path / "deep.png")
    assert made.decision == Accepted(caveats=(*PICTURE, Caveat.WINDOW_MISSING))
    assert (made.image.min(), made.image.max()) == (0, 255)


def test_an_exif_rotation_is_undone(tmp_path):
    exposure = np.zeros((300, 200), np.uint8)
    exposure[:100] = 255
    jpeg = cv2.imencode(".jpg", exposure)[1].tobytes()
    tiff = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, 3, 0) + bytes(4)
    exif = b"Exif\0\0" + tiff
    turned = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    (tmp_path / "turned.jpg").write_bytes(turned)
    image = prepared(tmp_path / "turned.jpg").image
    assert image[0, 100] < 5
    assert image[-1, 100] > 250


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_picture_cut_off_is_unreadable(tmp_path, suffix):
    path = tmp_path / f"exposure{suffix}"
    cv2.imwrite(str(path), ramp(bits=8).astype(np.uint8))
    content = path.read_bytes()
    for kept in (4, 20, 100, len(content) // 2, len(content) - 5):
        path.write_bytes(content[:kept])
        assert reason(path) is Reason.UNREADABLE, kept


def test_pictures_that_claim_to_be_huge_are_not_decoded(tmp_path):
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(60001))), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert reason(tmp_path / "bomb.png") is Reason.TOO_LARGE
    jpeg = bytearray(cv2.imencode(".jpg", np.zeros((64, 64), np.uint8))[1].tobytes())
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", 65000, 65000)
    (tmp_path / "bomb.jpg").write_bytes(bytes(jpeg))
    assert reason(tmp_path / "bomb.jpg") is Reason.TOO_LARGE
