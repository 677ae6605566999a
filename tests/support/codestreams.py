"""Codestreams of a phantom in every codec that the box reads, and the ways in which a part of one goes missing."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import cv2
import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.pixels.encoders import RLELosslessEncoder

Image = pytest.importorskip("PIL.Image", reason="Pillow makes the files, and is in the full environment only")

BASELINE, EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
LOSSLESS, JPEG_LS, NEAR_LOSSLESS = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"
J2K_LOSSLESS, J2K, HTJ2K = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.201"
RLE = "1.2.840.10008.1.2.5"

Image16 = NDArray[np.uint16]


def phantom(rows: int = 300, columns: int = 260, bits: int = 12) -> Image16:
    """Soft shapes with noise inside a black collimated border, which is where a missing end shows least."""
    chance = np.random.default_rng(3)
    coarse = chance.uniform(0, 1, (14, 12)).astype(np.float32)
    soft = cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC)
    image = np.clip(soft + chance.normal(0, 0.004, soft.shape), 0, 1)
    image[: rows // 12] = image[-rows // 6 :] = 0
    image[:, : columns // 12] = image[:, -columns // 12 :] = 0
    return np.round(image * ((1 << bits) - 1)).astype(np.uint16)


def _pillow(**options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray((phantom() >> 4).astype(np.uint8)).save(buffer, "JPEG", quality=92, **options)
    return buffer.getvalue()


def _j2k(**options: object) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(phantom(), **{"level": 0, "codecformat": "j2k", **options}))


def _lossless(**options: object) -> bytes:
    return bytes(imagecodecs.jpeg_encode(phantom(), lossless=True, bitspersample=12, **options))


ENCODERS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "baseline": (BASELINE, lambda: imagecodecs.jpeg8_encode((phantom() >> 4).astype(np.uint8), level=92)),
    "baseline, own tables": (BASELINE, lambda: _pillow(optimize=True)),
    "baseline, restart intervals": (BASELINE, lambda: _pillow(restart_marker_rows=2)),
    "baseline, short restart intervals": (BASELINE, lambda: _pillow(restart_marker_blocks=5)),
    "progressive": (BASELINE, lambda: _pillow(progressive=True)),
    "extended, 12 bits": (EXTENDED, lambda: imagecodecs.jpeg_encode(phantom(), level=95, bitspersample=12)),
    "lossless": (LOSSLESS, lambda: imagecodecs.ljpeg_encode(phantom(), bitspersample=12)),
    **{
        f"lossless, predictor {number}": (LOSSLESS, lambda number=number: _lossless(predictor=number))
        for number in range(1, 8)
    },
    "JPEG-LS": (JPEG_LS, lambda: imagecodecs.jpegls_encode(phantom())),
    "JPEG-LS, near lossless": (NEAR_LOSSLESS, lambda: imagecodecs.jpegls_encode(phantom(), level=3)),
    "JPEG 2000": (J2K_LOSSLESS, _j2k),
    "JPEG 2000 in a JP2 box": (J2K_LOSSLESS, lambda: _j2k(codecformat="jp2")),
    "JPEG 2000, two resolutions": (J2K_LOSSLESS, lambda: _j2k(resolutions=2)),
    "JPEG 2000, lossy": (J2K, lambda: _j2k(level=80)),
    "HTJ2K": (HTJ2K, lambda: imagecodecs.htj2k_encode(phantom(), reversible=True)),
    "run lengths": (RLE, lambda: RLELosslessEncoder.encode(phantom(), encoding_plugin="pydicom", **_RLE_OPTIONS)),
}
"""Name to transfer syntax and codestream of the phantom. Progressive ones occur as files only."""
_RLE_OPTIONS = {
    "rows": 300,
    "columns": 260,
    "samples_per_pixel": 1,
    "bits_allocated": 16,
    "bits_stored": 12,
    "pixel_representation": 0,
    "photometric_interpretation": "MONOCHROME2",
    "number_of_frames": 1,
}


def cuts(frame: bytes, places: int) -> Iterator[tuple[str, bytes]]:
    """Cut off, as it is or with an end mark, at `places` places and within the last bytes."""
    end = b"\xff\xd9"
    body = len(frame.rstrip(b"\x00"))
    for kept in sorted({*np.linspace(body // 20, body - 3, places).astype(int).tolist(), *range(body - 9, body - 2)}):
        yield f"cut to {kept} of {len(frame)}", frame[:kept]
        yield f"cut to {kept} of {len(frame)}, end mark", frame[:kept] + end


def holes(frame: bytes, places: int, sizes: tuple[int, ...] = (8, 300)) -> Iterator[tuple[str, bytes]]:
    """Bytes removed, set to zero, or overwritten by the bytes of another place."""
    for at in np.linspace(len(frame) // 8, len(frame) * 7 // 8, places).astype(int).tolist():
        for count in sizes:
            before, after = frame[:at], frame[at + count :]
            yield f"{count} bytes at {at} removed", before + after
            yield f"{count} bytes at {at} zero", before + bytes(count) + after
        yield f"half a block at {at} doubled", frame[: at + 256] + frame[at:]
