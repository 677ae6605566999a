"""Damaged films by the seed: bytes changed, cut, doubled, lengths made huge. The same seed makes the same films."""

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
    """One small film of each kind."""
    film = dicom.ramp(96, 80)
    grey = (film >> 6).astype("u1")
    path = folder / "original"
    made = [
        dicom.make_dx(path, film).read_bytes(),
        dicom.make_dx(path, film, transfer_syntax=ImplicitVRLittleEndian).read_bytes(),
        dicom.make_dx(path, film, transfer_syntax=DeflatedExplicitVRLittleEndian).read_bytes(),
        dicom.make_dx(path, film, VOILUTSequence=[dicom.lut_item(0, list(range(512)))]).read_bytes(),
        dicom.make_dx(path, film, ViewCodeSequence=[dicom.code_item("R-10214", "postero-anterior")]).read_bytes(),
        dicom.bare(path).read_bytes(),
        dicom.make_compressed(path, imagecodecs.jpegls_encode(film), JPEGLSLossless, film).read_bytes(),
        dicom.make_compressed(path, imagecodecs.ljpeg_encode(film), LOSSLESS, film).read_bytes(),
        dicom.make_compressed(
            path, imagecodecs.jpeg2k_encode(film, level=0, codecformat="j2k"), J2K, film
        ).read_bytes(),
        dicom.make_compressed(path, imagecodecs.jpeg8_encode(grey), BASELINE, grey).read_bytes(),
        cv2.imencode(".png", film)[1].tobytes(),
        cv2.imencode(".jpg", grey)[1].tobytes(),
    ]
    path.unlink()
    return made


def mutations(sources: list[bytes], count: int, seed: int) -> Iterator[bytes]:
    """`count` damaged films."""
    chance = random.Random(seed)
    for _ in range(count):
        film = bytearray(chance.choice(sources))
        for _ in range(chance.choice((1, 1, 2, 5, 20))):
            chance.choice(_DAMAGES)(film, chance)
        yield bytes(film)


def _flip(film: bytearray, chance: random.Random) -> None:
    if film:
        film[chance.randrange(len(film))] ^= 1 << chance.randrange(8)


def _flip_in_header(film: bytearray, chance: random.Random) -> None:
    if film:
        film[chance.randrange(min(len(film), 1800))] = chance.randrange(256)


def _extreme(film: bytearray, chance: random.Random) -> None:
    at = chance.randrange(max(1, min(len(film), 2500)))
    film[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\xfe\xff\0\xe0"))


def _cut(film: bytearray, chance: random.Random) -> None:
    del film[chance.randrange(len(film) + 1) :]


def _remove(film: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(film) + 1)
    del film[at : at + chance.choice((1, 2, 8, 100))]


def _double(film: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(film) + 1)
    film[at:at] = film[at : at + chance.choice((1, 8, 200))]


_DAMAGES = (_flip, _flip_in_header, _flip_in_header, _extreme, _extreme, _cut, _remove, _double)
