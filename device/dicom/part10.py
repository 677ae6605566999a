"""Part 10: the bytes of a DICOM file come in; its parsed header, and where its pixel data begin, go out.

Written for files that break PS3.10: without preamble, without meta group, deflated to a bomb, cut off.
"""

from __future__ import annotations

import io
import logging
import mmap
import zlib
from dataclasses import dataclass
from typing import Any

import pydicom
from pydicom import filereader
from pydicom.dataset import Dataset

from device.dicom.attributes import text
from device.dicom.pixels import PIXEL_DATA

# pydicom's own complaints quote values, which may be names.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
_FIRST_GROUPS = frozenset({0x0002, 0x0008, 0x0010, 0x0018, 0x0020, 0x0028})
_PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, PIXEL_DATA})


class NotDicom(Exception):
    """Nothing that begins like DICOM."""


class Bomb(Exception):
    """Inflates to more than is allowed."""


class _Reader:
    """A file for pydicom over bytes that are not copied; notes when more was asked for than there is."""

    def __init__(self, data: mmap.mmap | bytes) -> None:
        self._data = data
        self._at = 0
        self.cut_off = False

    def read(self, size: int = -1) -> bytes:
        """As files do."""
        chunk = self._data[self._at :] if size < 0 else self._data[self._at : self._at + size]
        self._at += len(chunk)
        self.cut_off = self.cut_off or 0 < len(chunk) < size
        return chunk

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
class Parsed:
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
        """As stated, unless it is a plain one and the file turned out to be written in another."""
        encoded = (IMPLICIT if self.implicit else EXPLICIT) if self.little_endian else BIG_ENDIAN
        stated = text(self.meta, "TransferSyntaxUID")
        return encoded if stated in {"", IMPLICIT, EXPLICIT, BIG_ENDIAN} else stated


def parse(data: mmap.mmap, max_inflated_bytes: int) -> Parsed:
    """The header up to Pixel Data. Raises NotDicom, Bomb, one of `attributes.FAULTS`."""
    reader: Any = _Reader(data)
    if data[128:132] == b"DICM":
        reader.seek(132)
    elif not _starts_like_dicom(data[:8]):
        raise NotDicom
    meta = filereader._read_file_meta_info(reader)  # noqa: SLF001 - read_partial would inflate without a limit
    if text(meta, "TransferSyntaxUID") == DEFLATED:
        return _parse_deflated(data[reader.tell() :], meta, max_inflated_bytes)
    reader.seek(0)
    dataset = filereader.read_partial(reader, stop_when=_at_pixels, force=True)
    implicit, little_endian = dataset.original_encoding
    return Parsed(
        meta=dataset.file_meta,
        dataset=dataset,
        data=data,
        pixels_at=reader.tell(),
        complete=not reader.cut_off,
        implicit=bool(implicit),
        little_endian=little_endian is not False,
    )


def _parse_deflated(deflated: bytes, meta: Dataset, max_bytes: int) -> Parsed:
    """PS3.5 A.5. Inflated to at most the size of a file: a small one may hold gigabytes."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflater.decompress(deflated, max_bytes)
    if inflater.unconsumed_tail:
        raise Bomb
    reader: Any = _Reader(data)
    dataset = filereader.read_dataset(reader, is_implicit_VR=False, is_little_endian=True, stop_when=_at_pixels)
    return Parsed(
        meta=meta,
        dataset=dataset,
        data=data,
        pixels_at=reader.tell(),
        complete=inflater.eof and not reader.cut_off,
        implicit=False,
        little_endian=True,
    )


def _at_pixels(tag: int, _vr: str | None, _length: int) -> bool:
    return tag in _PIXEL_TAGS


def _starts_like_dicom(head: bytes) -> bool:
    """Without the preamble: a first element of a group that files begin with, in either byte order."""
    if len(head) < 8:
        return False
    little, big = (int.from_bytes(head[:2], order) for order in ("little", "big"))
    return little in _FIRST_GROUPS or (big in _FIRST_GROUPS and head[4:6].isalpha())
