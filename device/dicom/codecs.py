"""Codecs: one compressed frame and its layout come in; its samples go out.

A frame's own header is read first: one that disagrees with Rows and Columns, or is larger than allowed, never reaches
a decoder. Plugins are named: by default pydicom's choice is up to four times slower.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import cv2
import imagecodecs
import libjpeg
import numpy as np
from numpy.typing import NDArray
from openjpeg.utils import decode as openjpeg_decode

from device.dicom.attributes import FAULTS
from device.dicom.codestreams import jpeg, jpeg2000, jpeg_entropy
from device.dicom.codestreams.jpeg import CodestreamFault, FrameHeader
from device.dicom.layout import Layout

Samples = NDArray[Any]
Decoder = Callable[[bytes, Layout], Samples]


class CodecFault(Exception):
    """The frame cannot be decoded, or not all of it is there; the text says what is wrong. The image is unreadable."""


class FrameTooLarge(Exception):
    """The frame says that it is larger than allowed; it is not decoded."""


def decoded(frame: bytes, transfer_syntax: str, layout: Layout, max_pixels: int) -> Samples:
    """Samples (rows, columns) or (rows, columns, 3) as coded.

    Raises FrameTooLarge and CodecFault; MemoryError passes.
    """
    if transfer_syntax != RLE:
        _check(frame_header(frame, transfer_syntax), layout, max_pixels)
    return _by_first_decoder(frame, DECODERS[transfer_syntax], layout)


def _by_first_decoder(frame: bytes, decoders: tuple[Decoder, ...], layout: Layout) -> Samples:
    """What the first decoder gives that reads all of the frame."""
    fault = ""
    for decoder in decoders:
        try:
            samples = decoder(frame, layout)
        except cv2.error as error:
            if error.code == cv2.Error.StsNoMem:
                raise MemoryError from None
        except CodestreamFault as error:
            fault = fault or str(error)
        except FAULTS:
            pass
        else:
            if samples.shape[:2] == (layout.rows, layout.columns):
                return samples
    raise CodecFault(fault or "no decoder reads the frame")


def frame_header(frame: bytes, transfer_syntax: str) -> FrameHeader | None:
    """What the frame says of itself; None when it says nothing. Not for RLE, which has no header of its own."""
    return jpeg2000.frame_header(frame) if transfer_syntax in _J2K_SYNTAXES else jpeg.frame_header(frame)


def _check(declared: FrameHeader | None, layout: Layout, max_pixels: int) -> None:
    if declared is None:
        raise CodecFault("the frame has no header")
    if declared.rows * declared.columns > max_pixels:
        raise FrameTooLarge
    if (declared.rows, declared.columns) != (layout.rows, layout.columns):
        raise CodecFault("the frame has another size than Rows and Columns")


def _jpeg_by(decode: jpeg_entropy.Decode) -> Decoder:
    """A decoder of JPEG whose frames must be complete."""

    def decoder(frame: bytes, _: Layout) -> Samples:
        codestream = jpeg.parse(frame)
        samples = np.asarray(decode(frame))
        jpeg_entropy.check_complete(frame, codestream, samples, decode)
        if samples.ndim == 3 and samples.dtype == np.uint8 and codestream.frame.process != jpeg.LOSSLESS:
            # Brightness at once: libjpeg-turbo turns colour into it faster than anything after.
            flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
            return np.asarray(cv2.imdecode(np.frombuffer(frame, np.uint8), flags))
        return samples

    return decoder


def _jpeg_ls(frame: bytes, _: Layout) -> Samples:
    """CharLS takes all of the coded data or fails; without an end mark that may take minutes."""
    if b"\xff\xd9" not in frame:
        raise CodestreamFault("the end mark is missing")
    return np.asarray(imagecodecs.jpegls_decode(frame))


def _j2k(frame: bytes, _: Layout) -> Samples:
    jpeg2000.check_complete(frame)
    return np.asarray(imagecodecs.jpeg2k_decode(frame, numthreads=2))


def _openjpeg(frame: bytes, _: Layout) -> Samples:
    jpeg2000.check_complete(frame)
    return np.asarray(openjpeg_decode(frame))


def _rle(frame: bytes, layout: Layout) -> Samples:
    """PS3.5 annex G: a segment for each byte of each sample, the most significant first."""
    width = layout.bits_allocated // 8
    count, *offsets = struct.unpack_from("<16L", frame)
    if count != layout.samples * width or sorted(offsets[:count]) != offsets[:count] or offsets[0] < 64:
        raise CodestreamFault(f"expected {layout.samples * width} run-length segments, got {count}")
    ends = [*offsets[1:count], len(frame)]
    planes = np.empty((layout.samples, layout.pixels, width), np.uint8)
    for number, (start, end) in enumerate(zip(offsets[:count], ends, strict=True)):
        segment = imagecodecs.packbits_decode(frame[start:end])
        if len(segment) != layout.pixels:
            raise CodestreamFault(f"segment {number + 1}: expected {layout.pixels} bytes, got {len(segment)}")
        planes[number // width, :, number % width] = np.frombuffer(segment, np.uint8)
    values = planes.view(f">u{width}").astype(f"u{width}").reshape(layout.samples, layout.rows, layout.columns)
    return values[0] if layout.samples == 1 else np.moveaxis(values, 0, -1)


RLE = "1.2.840.10008.1.2.5"
_J2K_SYNTAXES = tuple(f"1.2.840.10008.1.2.4.{end}" for end in (90, 91, 201, 202, 203))
_JPEG_SYNTAXES = tuple(f"1.2.840.10008.1.2.4.{end}" for end in (50, 51, 57, 70))
_JPEG_LS_SYNTAXES = tuple(f"1.2.840.10008.1.2.4.{end}" for end in (80, 81))
# libjpeg-turbo is exact for restart intervals and point transforms, where others are not (dcm2niix #664).
_JPEG = tuple(_jpeg_by(decode) for decode in (imagecodecs.jpeg_decode, libjpeg.decode, imagecodecs.ljpeg_decode))
DECODERS: dict[str, tuple[Decoder, ...]] = {
    **dict.fromkeys(_JPEG_SYNTAXES, _JPEG),
    **dict.fromkeys(_JPEG_LS_SYNTAXES, (_jpeg_ls,)),
    **dict.fromkeys(_J2K_SYNTAXES, (_j2k, _openjpeg)),
    RLE: (_rle,),
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
