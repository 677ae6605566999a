"""Damaged files, reproducible by seed: bytes changed, cut or doubled, lengths made huge."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import cv2
import imagecodecs
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless

from tests.support import dicom_files as dicom

J2K, LOSSLESS, BASELINE = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.50"


def originals(folder: Path) -> list[bytes]:
    """One small exposure of each kind."""
    exposure = dicom.ramp(96, 80)
    grey = (exposure >> 6).astype("u1")
    path = folder / "original"
    made = [
        dicom.make_dx(path, exposure).read_bytes(),
        dicom.make_dx(path, exposure, transfer_syntax=ImplicitVRLittleEndian).read_bytes(),
        dicom.make_dx(path, exposure, transfer_syntax=DeflatedExplicitVRLittleEndian).read_bytes(),
        dicom.make_dx(path, exposure, VOILUTSequence=[dicom.lut_item(0, list(range(512)))]).read_bytes(),
        dicom.make_dx(path, exposure, ViewCodeSequence=[dicom.code_item("R-10214", "postero-anterior")]).read_bytes(),
        dicom.bare(path).read_bytes(),
        dicom.make_compressed(path, imagecodecs.jpegls_encode(exposure), JPEGLSLossless, exposure).read_bytes(),
        dicom.make_compressed(path, imagecodecs.ljpeg_encode(exposure), LOSSLESS, exposure).read_bytes(),
        dicom.make_compressed(
            path, imagecodecs.jpeg2k_encode(exposure, level=0, codecformat="j2k"), J2K, exposure
        ).read_bytes(),
        dicom.make_compressed(path, imagecodecs.jpeg8_encode(grey), BASELINE, grey).read_bytes(),
        cv2.imencode(".png", exposure)[1].tobytes(),
        cv2.imencode(".jpg", grey)[1].tobytes(),
    ]
    path.unlink()
    return made


def mutations(sources: list[bytes], count: int, seed: int) -> Iterator[bytes]:
    """`count` damaged exposures."""
    chance = random.Random(seed)
    for _ in range(count):
        exposure = bytearray(chance.choice(sources))
        for _ in range(chance.choice((1, 1, 2, 5, 20))):
            chance.choice(_DAMAGES)(exposure, chance)
        yield bytes(exposure)


def _flip(exposure: bytearray, chance: random.Random) -> None:
    if exposure:
        exposure[chance.randrange(len(exposure))] ^= 1 << chance.randrange(8)


def _flip_in_header(exposure: bytearray, chance: random.Random) -> None:
    if exposure:
        exposure[chance.randrange(min(len(exposure), 1800))] = chance.randrange(256)


def _extreme(exposure: bytearray, chance: random.Random) -> None:
    at = chance.randrange(max(1, min(len(exposure), 2500)))
    exposure[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\xfe\xff\0\xe0"))


def _cut(exposure: bytearray, chance: random.Random) -> None:
    del exposure[chance.randrange(len(exposure) + 1) :]


def _remove(exposure: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(exposure) + 1)
    del exposure[at : at + chance.choice((1, 2, 8, 100))]


def _double(exposure: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(exposure) + 1)
    exposure[at:at] = exposure[at : at + chance.choice((1, 8, 200))]


_DAMAGES = (_flip, _flip_in_header, _flip_in_header, _extreme, _extreme, _cut, _remove, _double)
