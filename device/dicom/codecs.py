"""Codecs: one compressed frame and its layout come in; its samples go out.

A frame's own header is read first: one that disagrees with Rows and Columns, or is larger than allowed, never reaches
a decoder. Plugins are named: by default pydicom's choice is up to four times slower.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from mmap import mmap
from typing import Any

import cv2
import imagecodecs
import libjpeg
import numpy as np
from numpy.typing import NDArray
from openjpeg.utils import decode as openjpeg_decode

from device.dicom.attributes import FAULTS
from device.dicom.layout import Layout

Samples = NDArray[Any]
Decoder = Callable[[bytes, Layout], Samples]


class CodecFault(Exception):
    """The frame cannot be decoded; the image is unreadable."""


class FrameTooLarge(Exception):
    """The frame says that it is larger than allowed; it is not decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameHeader:
    """What a frame says of itself."""

    rows: int
    columns: int
    precision: int


def jpeg_frame_header(frame: bytes | mmap) -> FrameHeader | None:
    """From the frame header (SOF) of JPEG (ITU-T T.81 B.2.2) or JPEG-LS (T.87 C.2.2); None without one."""
    at = 2
    while at + 9 <= len(frame):
        if frame[at] != 0xFF:
            return None
        marker = frame[at + 1]
        if marker in {0xFF, 0x01} or 0xD0 <= marker <= 0xD8:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _START_OF_FRAME:
            precision, rows, columns = struct.unpack_from(">BHH", frame, at + 4)
            return FrameHeader(rows=rows, columns=columns, precision=precision)
        at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return None


_START_OF_FRAME = (set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}


def j2k_frame_header(frame: bytes) -> FrameHeader | None:
    """From the SIZ marker of a JPEG 2000 codestream, bare or in a JP2 box (ITU-T T.800 A.5.1)."""
    at = frame.find(b"\xff\x4f\xff\x51", 0, 4096)
    if at < 0 or at + 43 > len(frame):
        return None
    right, bottom, left, top = struct.unpack_from(">4I", frame, at + 8)
    return FrameHeader(rows=bottom - top, columns=right - left, precision=(frame[at + 42] & 0x7F) + 1)


def decoded(frame: bytes, transfer_syntax: str, layout: Layout, max_pixels: int) -> Samples:
    """Samples (rows, columns) or (rows, columns, 3) as coded.

    Raises FrameTooLarge and CodecFault; MemoryError passes.
    """
    if transfer_syntax != RLE:
        _check(frame_header(frame, transfer_syntax), layout, max_pixels)
    for decoder in DECODERS[transfer_syntax]:
        try:
            samples = decoder(frame, layout)
        except cv2.error as error:
            _raise_if_memory(error)
        except FAULTS:
            continue
        else:
            if samples.shape[:2] == (layout.rows, layout.columns):
                return samples
    raise CodecFault


def _raise_if_memory(error: cv2.error) -> None:
    if error.code == cv2.Error.StsNoMem:
        raise MemoryError from None


def frame_header(frame: bytes, transfer_syntax: str) -> FrameHeader | None:
    """What the frame says of itself; None when it says nothing. Not for RLE, which has no header of its own."""
    return j2k_frame_header(frame) if transfer_syntax in _J2K_SYNTAXES else jpeg_frame_header(frame)


def _check(declared: FrameHeader | None, layout: Layout, max_pixels: int) -> None:
    if declared is None:
        raise CodecFault
    if declared.rows * declared.columns > max_pixels:
        raise FrameTooLarge
    if (declared.rows, declared.columns) != (layout.rows, layout.columns):
        raise CodecFault


def _jpeg_8(frame: bytes, _: Layout) -> Samples:
    """Brightness at once: libjpeg-turbo turns colour into it faster than anything after."""
    declared = jpeg_frame_header(frame)
    if declared is None or declared.precision != 8:
        raise ValueError("not of 8 bits")
    picture = cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    if picture is None:
        raise ValueError("not decoded")
    return np.asarray(picture)


def _jpeg_turbo(frame: bytes, _: Layout) -> Samples:
    return np.asarray(imagecodecs.jpeg_decode(frame))


def _jpeg_libjpeg(frame: bytes, _: Layout) -> Samples:
    return np.asarray(libjpeg.decode(frame))


def _jpeg_lossless(frame: bytes, _: Layout) -> Samples:
    return np.asarray(imagecodecs.ljpeg_decode(frame))


def _jpeg_ls(frame: bytes, _: Layout) -> Samples:
    return np.asarray(imagecodecs.jpegls_decode(frame))


def _j2k(frame: bytes, _: Layout) -> Samples:
    return np.asarray(imagecodecs.jpeg2k_decode(frame, numthreads=2))


def _openjpeg(frame: bytes, _: Layout) -> Samples:
    return np.asarray(openjpeg_decode(frame))


def _rle(frame: bytes, layout: Layout) -> Samples:
    """PS3.5 annex G: samples lie plane by plane."""
    dtype = np.dtype(f"<u{layout.bits_allocated // 8}")
    size = layout.pixels * layout.samples * dtype.itemsize
    data = imagecodecs.dicomrle_decode(frame, dtype=dtype, out=size)
    planes = np.frombuffer(data, dtype).reshape(layout.samples, layout.rows, layout.columns)
    return planes[0] if layout.samples == 1 else np.moveaxis(planes, 0, -1)


RLE = "1.2.840.10008.1.2.5"
_J2K_SYNTAXES = tuple(f"1.2.840.10008.1.2.4.{end}" for end in (90, 91, 201, 202, 203))
DECODERS: dict[str, tuple[Decoder, ...]] = {
    "1.2.840.10008.1.2.4.50": (_jpeg_8, _jpeg_libjpeg),
    "1.2.840.10008.1.2.4.51": (_jpeg_8, _jpeg_turbo, _jpeg_libjpeg),
    "1.2.840.10008.1.2.4.57": (_jpeg_lossless, _jpeg_libjpeg),
    "1.2.840.10008.1.2.4.70": (_jpeg_lossless, _jpeg_libjpeg),
    "1.2.840.10008.1.2.4.80": (_jpeg_ls,),
    "1.2.840.10008.1.2.4.81": (_jpeg_ls,),
    RLE: (_rle,),
    **dict.fromkeys(_J2K_SYNTAXES, (_j2k, _openjpeg)),
}
"""Transfer syntax to the decoders, tried in turn."""


def syntax_of(frame: bytes) -> str:
    """The transfer syntax by the frame's own marks, for files that name a wrong one. Raises CodecFault."""
    if frame.startswith(b"\xff\x4f\xff\x51") or frame[4:8] == b"jP  ":
        return _J2K_SYNTAXES[0]
    syntax_endings = {0xC0: "50", 0xC1: "51", 0xC2: "50", 0xC3: "70", 0xF7: "80"}
    for marker, end in syntax_endings.items():
        if frame.startswith(b"\xff\xd8") and bytes((0xFF, marker)) in frame[:65536]:
            return f"1.2.840.10008.1.2.4.{end}"
    raise CodecFault
