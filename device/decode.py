"""Decode: a path comes in; a Film (facts, box-only identity, a way to its pixels) or a refusal with its reason goes out.

The header is read first and the pixels only on demand, so that a film the gate rejects never meets a decoder.
"""

from __future__ import annotations

import io
import logging
import mmap
import os
import stat
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import filereader
from pydicom.dataset import Dataset

from device import header, layout, picture, pixels
from device.attributes import FAULTS, text
from device.codecs import CodecFault, FrameTooLarge
from device.config import LimitsConfig
from device.contract import Caveat, Exposure, Reason, Source
from device.gate import Facts
from device.header import Identity
from device.preprocess import AS_IS, Grey, Rendering, preprocess

__all__ = ["Film", "Identity", "Loaded", "Refused", "open_film", "read_grey"]

# pydicom's own complaints quote values, which may be names.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
_FIRST_GROUPS = frozenset({0x0002, 0x0008, 0x0010, 0x0018, 0x0020, 0x0028})
_PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, pixels.PIXEL_DATA})
_HEAD_BYTES = 4096


class Refused(Exception):
    """The film gets no further; `reason` says why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Stored values (rows, columns) and how they become grey; `caveats` that only the pixels show."""

    pixels: NDArray[Any]
    rendering: Rendering
    caveats: tuple[Caveat, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """A film whose header could be read. `load` decodes its pixels; it raises Refused and MemoryError."""

    exposure: Exposure
    identity: Identity
    facts: Facts
    load: Callable[[], Loaded]


def read_grey(path: Path) -> Grey:
    """Grey values uint8 (224, 224) of a JPEG, PNG or DICOM file, as the box makes them; no gate.

    Raises Refused for what cannot be read.
    """
    loaded = open_film(path, LimitsConfig()).load()
    return preprocess(loaded.pixels, loaded.rendering)


def open_film(path: Path, limits: LimitsConfig) -> Film:
    """Read the header. Raises Refused: too_large before anything is read, or unreadable."""
    data = _mapped(path, limits.max_file_bytes)
    head = data[:_HEAD_BYTES]
    try:
        if head[128:132] != b"DICM" and picture.is_picture(head):
            return _open_picture(data, limits)
        return _open_dicom(data, limits)
    except MemoryError:
        raise Refused(Reason.TOO_LARGE) from None
    except FAULTS:
        raise Refused(Reason.UNREADABLE) from None


def _mapped(path: Path, max_file_bytes: int) -> mmap.mmap:
    """The file's bytes without reading them. O_NONBLOCK, or a named pipe would hold us for ever."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        raise Refused(Reason.UNREADABLE) from None
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size == 0:
            raise Refused(Reason.UNREADABLE)
        if facts.st_size > max_file_bytes:
            raise Refused(Reason.TOO_LARGE)
        return mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
    except OSError:
        raise Refused(Reason.UNREADABLE) from None
    finally:
        os.close(handle)


def _open_picture(data: mmap.mmap, limits: LimitsConfig) -> Film:
    content = bytes(data)
    try:
        size = picture.size_of(content)
    except picture.PictureFault:
        raise Refused(Reason.UNREADABLE) from None

    def load() -> Loaded:
        if size.rows * size.columns > limits.max_pixels:
            raise Refused(Reason.TOO_LARGE)
        try:
            grey = picture.decode(content)
        except picture.PictureFault:
            raise Refused(Reason.UNREADABLE) from None
        if grey.dtype == np.uint8:
            return Loaded(pixels=grey, rendering=AS_IS)
        return Loaded(pixels=grey, rendering=Rendering(), caveats=(Caveat.WINDOW_MISSING,))

    return Film(
        exposure=empty_exposure(Source.FILE, rows=size.rows, columns=size.columns),
        identity=Identity(),
        facts=Facts(is_dicom=False, frames=size.frames),
        load=load,
    )


def empty_exposure(source: Source, *, rows: int | None = None, columns: int | None = None) -> Exposure:
    """The exposure of a film that says nothing of itself."""
    return Exposure(
        modality=None,
        body_part=None,
        view=None,
        age_years=None,
        sex=None,
        kvp=None,
        mas=None,
        acquired_at=None,
        rows=rows,
        columns=columns,
        transfer_syntax=None,
        source=source,
    )


class _Reader:
    """A file for pydicom over bytes that are not copied; notes when more was asked for than there is."""

    def __init__(self, data: mmap.mmap | bytes) -> None:
        self._data = data
        self._at = 0
        self.cut_off = False

    def read(self, size: int = -1) -> bytes:
        """As files do."""
        found = self._data[self._at :] if size < 0 else self._data[self._at : self._at + size]
        self._at += len(found)
        self.cut_off = self.cut_off or 0 < len(found) < size
        return found

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As files do, but what was cut off before does not count any more after a fresh start."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        self._at = max(0, base + offset)
        self.cut_off = self._at > len(self._data) or (self.cut_off and self._at > 0)
        return self._at

    def tell(self) -> int:
        """As files do."""
        return self._at


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parsed:
    """A header, and the bytes in which its pixel data lie from `pixels_at` on (the file's own, or inflated)."""

    meta: Dataset
    dataset: Dataset
    data: mmap.mmap | bytes
    pixels_at: int
    complete: bool
    implicit: bool
    little_endian: bool

    @property
    def transfer_syntax(self) -> str:
        """As stated, or else as the file turned out to be written."""
        encoded = (IMPLICIT if self.implicit else EXPLICIT) if self.little_endian else BIG_ENDIAN
        return text(self.meta, "TransferSyntaxUID") or encoded


def _open_dicom(data: mmap.mmap, limits: LimitsConfig) -> Film:
    parsed = _parse(data, limits)
    if not len(parsed.dataset):
        raise Refused(Reason.UNREADABLE)
    where = pixels.find_element(
        parsed.data, parsed.pixels_at, implicit=parsed.implicit, little_endian=parsed.little_endian
    )
    form = layout.layout_of(parsed.dataset, little_endian=parsed.little_endian)
    exposure = header.exposure_of(parsed.dataset, parsed.meta, parsed.transfer_syntax)
    facts = header.facts_of(
        parsed.dataset,
        parsed.meta,
        exposure,
        has_pixels=where is not None,
        window_missing=form.monochrome and layout.stated_voi(parsed.dataset, form) is None,
    )

    def load() -> Loaded:
        if parsed.transfer_syntax not in pixels.SUPPORTED:
            raise Refused(Reason.UNSUPPORTED_TRANSFER_SYNTAX)
        if where is None or form.rows < 1 or form.columns < 1:
            raise Refused(Reason.UNREADABLE)
        if form.pixels > limits.max_pixels:
            raise Refused(Reason.TOO_LARGE)
        return _load(parsed, where, form, limits.max_pixels)

    return Film(
        exposure=exposure,
        identity=header.identity_of(parsed.dataset, parsed.meta),
        facts=replace(facts, complete=parsed.complete or where is not None),
        load=load,
    )


def _load(parsed: _Parsed, where: pixels.Element, form: layout.Layout, max_pixels: int) -> Loaded:
    try:
        stored = pixels.stored_of(parsed.data, where, parsed.transfer_syntax, form, max_pixels)
        values = _brightness(stored.values, parsed.dataset, form)
    except (FrameTooLarge, MemoryError):
        raise Refused(Reason.TOO_LARGE) from None
    except (pixels.PixelFault, CodecFault, *FAULTS):
        raise Refused(Reason.UNREADABLE) from None
    caveats = (Caveat.PIXEL_DATA_LENGTH,) if stored.odd_length else ()
    return Loaded(pixels=values, rendering=layout.rendering_of(parsed.dataset, stored.layout), caveats=caveats)


def _brightness(values: NDArray[Any], dataset: Dataset, form: layout.Layout) -> NDArray[Any]:
    """One value per pixel. A palette comes first: its indices cannot be averaged."""
    if values.ndim == 3:
        return pixels.luma(values, form.photometric)
    if form.photometric.startswith("PALETTE"):
        table = layout.palette_luma(dataset, form)
        return table[np.minimum(values, len(table) - 1)]
    return values


def _parse(data: mmap.mmap, limits: LimitsConfig) -> _Parsed:
    reader: Any = _Reader(data)
    if data[128:132] == b"DICM":
        reader.seek(132)
    elif not _starts_like_dicom(data[:8]):
        raise Refused(Reason.UNREADABLE)
    meta = filereader._read_file_meta_info(reader)
    if text(meta, "TransferSyntaxUID") == DEFLATED:
        return _parse_deflated(data[reader.tell() :], meta, limits)
    reader.seek(0)
    dataset = filereader.read_partial(reader, stop_when=_at_pixels, force=True)
    implicit, little_endian = dataset.original_encoding
    return _Parsed(
        meta=dataset.file_meta,
        dataset=dataset,
        data=data,
        pixels_at=reader.tell(),
        complete=not reader.cut_off,
        implicit=bool(implicit),
        little_endian=little_endian is not False,
    )


def _parse_deflated(deflated: bytes, meta: Dataset, limits: LimitsConfig) -> _Parsed:
    """PS3.5 A.5. Inflated to at most the size of a file: a small one may hold gigabytes."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflater.decompress(deflated, limits.max_file_bytes)
    if inflater.unconsumed_tail:
        raise Refused(Reason.TOO_LARGE)
    reader: Any = _Reader(data)
    dataset = filereader.read_dataset(reader, is_implicit_VR=False, is_little_endian=True, stop_when=_at_pixels)
    return _Parsed(
        meta=meta,
        dataset=dataset,
        data=data,
        pixels_at=reader.tell(),
        complete=inflater.eof and not reader.cut_off,
        implicit=False,
        little_endian=True,
    )


def _at_pixels(tag: int, vr: str | None, length: int) -> bool:
    return tag in _PIXEL_TAGS


def _starts_like_dicom(head: bytes) -> bool:
    """Without the preamble: a first element of a group that files begin with, in either byte order."""
    if len(head) < 8:
        return False
    little, big = (int.from_bytes(head[:2], order) for order in ("little", "big"))
    return little in _FIRST_GROUPS or (big in _FIRST_GROUPS and head[4:6].isalpha())
