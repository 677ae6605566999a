"""Picture: the bytes of a JPEG or PNG file come in; its size, or its grey values upright, go out."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from mmap import mmap
from typing import Any

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from device.dicom.attributes import FAULTS
from device.dicom.codestreams import jpeg, jpeg_entropy

Data = bytes | mmap
JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"


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
    if data[: len(PNG)] == PNG:
        size = _png_size(data)
    else:
        declared = jpeg.frame_header(data)
        if declared is None:
            raise RasterFault
        size = Size(rows=declared.rows, columns=declared.columns)
    if size.rows < 1 or size.columns < 1:
        raise RasterFault
    return size


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

    Raises RasterFault, also for a file of which a part is missing: decoders fill it up.
    """
    try:
        if data[: len(PNG)] == PNG:
            _check_png(data)
        else:
            content = bytes(data)
            codestream = jpeg.parse(content)
            samples = np.asarray(imagecodecs.jpeg8_decode(content))
            jpeg_entropy.check_complete(content, codestream, samples, imagecodecs.jpeg8_decode)
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError from None
        raise RasterFault("no decoder reads the file") from None
    except jpeg.CodestreamFault as error:
        raise RasterFault(str(error)) from None
    except FAULTS:
        raise RasterFault("no decoder reads the file") from None
    if picture is None or picture.ndim != 2:
        raise RasterFault("no decoder reads the file")
    return np.asarray(picture)


def _check_png(data: Data) -> None:
    """Raise RasterFault unless all critical chunks are intact and their pixels as many as the header says."""
    at, pixel_bytes = len(PNG), 0
    inflater, chunk = zlib.decompressobj(), b""
    while chunk != b"IEND":
        if at + 12 > len(data):
            raise RasterFault("the end of the PNG file is missing")
        length, chunk = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + length]
        if chunk[:1].isupper() and data[at + 8 + length : at + 12 + length] != zlib.crc32(chunk + content).to_bytes(4):
            raise RasterFault("a chunk of the PNG file is damaged")
        while chunk == b"IDAT" and content:
            pixel_bytes += len(inflater.decompress(content, 1 << 20))
            content = inflater.unconsumed_tail
        at += 12 + length
    if not inflater.eof or pixel_bytes != _png_pixel_bytes(data):
        raise RasterFault("pixels of the PNG file are missing")


def _png_pixel_bytes(data: Data) -> int:
    """Bytes of all scan lines, each with its filter type (PNG third edition 7.2 and, for interlaced ones, 8.2)."""
    columns, rows, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour, 0)
    adam7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    total = 0
    for left, top, right_by, down_by in adam7 if interlaced else ((0, 0, 1, 1),):
        wide, high = -(-(columns - left) // right_by), -(-(rows - top) // down_by)
        total += high * (1 + -(-wide * bits // 8)) if wide > 0 and high > 0 else 0
    return total
