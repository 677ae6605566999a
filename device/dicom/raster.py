"""Picture: the bytes of a JPEG or PNG file come in; its size, or its grey values upright, go out."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from mmap import mmap
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from device.dicom.codecs import jpeg_frame_header

Data = bytes | mmap
JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_JPEG_SCAN, _JPEG_END = 0xDA, b"\xff\xd9"


class RasterFault(Exception):
    """Damaged, cut off or of a kind that is not decoded; the image is unreadable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """As the file's own header says, before anything is decoded. `frames` above 1: an animation."""

    rows: int
    columns: int
    frames: int = 1


def is_raster(head: bytes) -> bool:
    """By the first bytes; a file's name says nothing."""
    return head.startswith((JPEG, PNG))


def size_of(data: Data) -> Size:
    """Raises RasterFault when the file does not say or is cut off."""
    size = _png_size(data) if data[: len(PNG)] == PNG else _jpeg_size(data)
    if size.rows < 1 or size.columns < 1:
        raise RasterFault
    return size


def _jpeg_size(data: Data) -> Size:
    declared = jpeg_frame_header(data)
    # FF D9 cannot stand inside a scan: without it after the scan the end is lost, and libjpeg would fill up with grey.
    if declared is None or data.find(_JPEG_END, _scan_start(data)) < 0:
        raise RasterFault
    return Size(rows=declared.rows, columns=declared.columns)


def _scan_start(data: Data) -> int:
    """Where the first scan begins: an Exif thumbnail before it has an end mark of its own."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == _JPEG_SCAN:
            return at
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise RasterFault


def _png_size(data: Data) -> Size:
    """IHDR, and acTL of an animation (PNG third edition 11.2.1, 11.3.6.1)."""
    if len(data) < 33 or data[12:16] != b"IHDR" or data.rfind(b"IEND") < 0:
        raise RasterFault
    columns, rows = struct.unpack_from(">II", data, 16)
    control = data.find(b"acTL", 0, 4096)
    frames = struct.unpack_from(">I", data, control + 4)[0] if 0 < control < len(data) - 8 else 1
    return Size(rows=rows, columns=columns, frames=max(1, frames))


def decode(data: Data) -> NDArray[Any]:
    """Grey values uint8 or uint16 (rows, columns); colour as brightness, turned upright by Exif, first frame.

    Raises RasterFault.
    """
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError from None
        raise RasterFault from None
    if picture is None or picture.ndim != 2:
        raise RasterFault
    return np.asarray(picture)
