"""Pixels: a DICOM file's bytes from Pixel Data on, and the layout, come in; stored values (rows, columns) go out.

Plain pixels are a view of the file, not a copy. Of several frames the first is taken.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from mmap import MADV_DONTNEED, mmap
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from device.dicom import codecs, stored_bits
from device.dicom.layout import LUMA, Layout
from device.dicom.stored_bits import PixelFault

UNDEFINED_LENGTH = 0xFFFFFFFF
PIXEL_DATA = 0x7FE00010
_ITEM, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE0DD
NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"})
_ENCAPSULATED_NATIVE = "1.2.840.10008.1.2.1.98"
SUPPORTED = NATIVE | {_ENCAPSULATED_NATIVE} | set(codecs.DECODERS)

Samples = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """Where Pixel Data lies: its value starts at `start`; `length` and value representation as stated, if it is."""

    start: int
    length: int
    vr: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Values of one frame, uint8 or uint16 or what a decoder made. `odd_length`: the file holds more than it says.

    `swapped`: its bytes had to change places.
    """

    values: Samples
    layout: Layout
    odd_length: bool = False
    swapped: bool = False


def find_element(data: bytes | mmap, at: int, *, implicit: bool, little_endian: bool) -> Element | None:
    """The Pixel Data element whose header starts at `at`; None when there is none (or it is empty)."""
    view = memoryview(data)
    endian = "<" if little_endian else ">"
    if at + 8 > len(view):
        return None
    group, element, length = struct.unpack_from(f"{endian}HHL", view, at)
    if group << 16 | element != PIXEL_DATA:
        return None
    start, vr = at + 8, bytes(view[at + 4 : at + 6])
    if vr in {b"OB", b"OW", b"UN"} or (not implicit and vr.isalpha()):
        # Also in a data set that is written otherwise than its meta group says.
        if at + 12 > len(view):
            return None
        length, start = struct.unpack_from(f"{endian}L", view, at + 8)[0], at + 12
    else:
        vr = b""
    return Element(start=start, length=length, vr=vr.decode("latin-1")) if length and start < len(view) else None


def stored_of(data: bytes | mmap, element: Element, transfer_syntax: str, layout: Layout, max_pixels: int) -> Stored:
    """The first frame's stored values. Raises PixelFault, CodecFault, FrameTooLarge."""
    view = memoryview(data)
    if element.length != UNDEFINED_LENGTH:
        stored = _native(view[element.start : element.start + element.length], layout)
        if element.vr == "OW" and not layout.little_endian and layout.bits_allocated == 8:
            stored = replace(stored, values=stored_bits.unswapped_bytes(stored.values))
        return stored
    frame = first_frame(view[element.start :], layout.frames)
    if isinstance(data, mmap):
        # The frame is a copy: the file's own pages need not stay in memory beside it.
        data.madvise(MADV_DONTNEED)
    if transfer_syntax == _ENCAPSULATED_NATIVE:
        return _native(memoryview(frame), layout)
    if transfer_syntax in NATIVE:
        # Compressed and labelled as plain: the frame itself says what it is.
        transfer_syntax = codecs.syntax_of(frame)
    samples = codecs.decoded(frame, transfer_syntax, layout, max_pixels)
    return Stored(values=samples, layout=_as_decoded(samples, frame, transfer_syntax, layout))


def _native(view: memoryview, layout: Layout) -> Stored:
    """Plain pixels. C.7.6.3.1.1; one byte more is padding to an even length."""
    if layout.bits_allocated not in {8, 16, 32} or layout.samples not in {1, 3}:
        raise PixelFault("expected 1 or 3 samples of 8, 16 or 32 bits")
    dtype = np.dtype(f"{'<' if layout.little_endian else '>'}u{layout.bits_allocated // 8}")
    if layout.photometric == "YBR_FULL_422" and layout.samples == 3:
        return _native_422(view, layout)
    count = layout.pixels * layout.samples
    if len(view) < count * dtype.itemsize:
        raise PixelFault(f"expected {count * dtype.itemsize} bytes of pixels, got {len(view)}")
    expected = layout.frames * count * dtype.itemsize
    values = np.frombuffer(view, dtype, count)
    odd_length = not expected <= len(view) <= expected + 1
    if layout.samples == 1:
        image, swapped = stored_bits.with_byte_order(values.reshape(layout.rows, layout.columns), layout.stored_bits)
        return Stored(values=image, layout=layout, odd_length=odd_length, swapped=swapped)
    if layout.planar:
        values = np.moveaxis(values.reshape(layout.samples, layout.rows, layout.columns), 0, -1)
    else:
        values = values.reshape(layout.rows, layout.columns, layout.samples)
    return Stored(values=values, layout=layout, odd_length=odd_length)


def _native_422(view: memoryview, layout: Layout) -> Stored:
    """Y Y Cb Cr for two pixels (C.7.6.3.1.2); only Y is needed."""
    if layout.bits_allocated != 8 or layout.columns % 2 or len(view) < 2 * layout.pixels:
        raise PixelFault("expected two bytes of each pixel")
    pairs = np.frombuffer(view, np.uint8, 2 * layout.pixels).reshape(-1, 4)
    values = np.ascontiguousarray(pairs[:, :2]).reshape(layout.rows, layout.columns)
    return Stored(values=values, layout=layout, odd_length=len(view) > 2 * layout.pixels * layout.frames + 1)


def first_frame(view: memoryview, frames: int) -> bytes:
    """The first frame's fragments, joined (PS3.5 A.4). Raises PixelFault for a fragment that is cut off."""
    offsets, fragments, at = b"", [], 0
    while at + 8 <= len(view):
        group, element, length = struct.unpack_from("<HHL", view, at)
        tag = group << 16 | element
        if tag == _SEQUENCE_END:
            break
        if tag != _ITEM or at + 8 + length > len(view):
            raise PixelFault("a fragment is cut off")
        if at == 0:
            offsets = bytes(view[8 : 8 + length])
        else:
            fragments.append((at, view[at + 8 : at + 8 + length]))
        at += 8 + length
    if not fragments:
        raise PixelFault("no fragment holds a frame")
    return b"".join(_of_first(fragments, offsets, frames))


def _of_first(fragments: list[tuple[int, memoryview]], offsets: bytes, frames: int) -> list[memoryview]:
    pieces = [piece for _, piece in fragments]
    if frames == 1:
        return pieces
    if len(offsets) >= 8:
        second = struct.unpack_from("<L", offsets, 4)[0] + fragments[0][0]
        return [piece for at, piece in fragments if at < second] or pieces[:1]
    if len(fragments) <= frames:
        return pieces[:1]
    # No table: JPEG and JPEG 2000 both end a frame with FF D9.
    ends = (n for n, piece in enumerate(pieces, 1) if b"\xff\xd9" in bytes(piece[-4:]))
    return pieces[: next(ends, 1)]


def _as_decoded(samples: Samples, frame: bytes, transfer_syntax: str, layout: Layout) -> Layout:
    """The layout with the stored bits as the frame has them.

    A frame of the container's full width may hold words with overlay bits, so the header's bits hold; a precision
    between both means that the header is wrong. Signed samples need no sign extension any more.
    """
    width = 8 * samples.dtype.itemsize
    stored = layout.stored_bits
    declared = None if transfer_syntax == codecs.RLE else codecs.frame_header(frame, transfer_syntax)
    if samples.dtype.kind != "u":
        return replace(layout, stored_bits=replace(stored, bits_stored=width, high_bit=width - 1, signed=True))
    precision = declared.precision if declared else layout.bits_allocated
    if precision < stored.bits_stored:
        # The codestream has fewer bits than the header says; a sign is in its own highest (pydicom #1150).
        return replace(layout, stored_bits=replace(stored, bits_stored=precision, high_bit=precision - 1))
    if stored.bits_stored < precision < layout.bits_allocated or stored.high_bit >= width:
        bits = min(width, max(precision, min(stored.bits_stored, width)))
        return replace(layout, stored_bits=replace(stored, bits_stored=bits, high_bit=bits - 1))
    return layout


def upright(values: Samples, orientation: list[str]) -> tuple[Samples, bool]:
    """`values` turned so that rows point to the patient's left and columns to the feet, and whether that was needed.

    `orientation` is Patient Orientation (C.7.6.1.1.1): where the rows and the columns point to.
    """
    across, down = ([*(direction[:1] for direction in orientation), "", ""])[:2]
    if across in {"H", "F"} and down in {"L", "R"}:
        values, across, down = values.T, down, across
        turned = True
    elif across in {"L", "R"} and down in {"H", "F"}:
        turned = (across, down) != ("L", "F")
    else:
        return values, False
    values = values[:, ::-1] if across == "R" else values
    values = values[::-1] if down == "H" else values
    return (np.ascontiguousarray(values) if turned else values), turned


def luma(samples: Samples, photometric: str) -> Samples:
    """Brightness of (rows, columns, 3): Y as it is, or from red, green and blue."""
    if photometric.startswith(("YBR_FULL", "YBR_PARTIAL")):
        return np.ascontiguousarray(samples[..., 0])
    colours = np.ascontiguousarray(samples[..., :3])
    if colours.dtype in (np.uint8, np.uint16):
        return np.asarray(cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY))
    return np.asarray(colours.astype(np.float32) @ np.array(LUMA, np.float32))
