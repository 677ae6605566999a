"""JPEG: the bytes of a codestream come in; its frame header, scans and where their coded data lie go out.

ITU-T T.81 annex B, and T.87 for the frame header of JPEG-LS. As in libjpeg, stray bytes before a marker are skipped.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from mmap import mmap

Data = bytes | mmap

LOSSLESS = 0xC3
SEQUENTIAL = frozenset({0xC0, 0xC1})
PROGRESSIVE = 0xC2
_START_OF_FRAME = (frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}
_RESTART = range(0xD0, 0xD8)
_DHT, _DRI, _SOS, _EOI = 0xC4, 0xDD, 0xDA, 0xD9
_AC_CLASS = 0x10
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_MARKER = re.compile(rb"\xff+[^\x00\xff]")
"""Inside coded data FF is followed by 00; further FF before a marker are filling (B.1.1.2)."""


class CodestreamFault(Exception):
    """The codestream breaks the standard, or a part of it is missing; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A component of the frame: its identifier and sampling factors."""

    identifier: int
    horizontal: int
    vertical: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameHeader:
    """What a frame says of itself. `process` is its marker, such as 0xC3 for lossless; 0 for JPEG 2000."""

    rows: int
    columns: int
    precision: int
    process: int = 0
    components: tuple[Component, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One scan. `first` to `last` are coefficients, or `first` is the predictor of a lossless one.

    `code_lengths`: bits of the code of each value, for the DC table of each component. `zeros_are_data`: whether a
    flat picture may be coded as zero bits alone. `intervals`: start and end of the coded data between restart markers.
    """

    components: tuple[Component, ...]
    code_lengths: tuple[dict[int, int], ...]
    zeros_are_data: bool
    first: int
    last: int
    point_transform: int
    restart_interval: int
    intervals: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Codestream:
    """A codestream up to its end mark."""

    frame: FrameHeader
    scans: tuple[Scan, ...]


@dataclass(slots=True)
class _Tables:
    """What a scan needs of the segments before it."""

    frame: FrameHeader | None = None
    restart_interval: int = 0
    code_lengths: dict[int, dict[int, int]] = field(default_factory=dict)


def frame_header(data: Data) -> FrameHeader | None:
    """The frame header (SOF) of JPEG (T.81 B.2.2) or JPEG-LS (T.87 C.2.2); None without one."""
    for marker, at, end in _segments(data, 2):
        if marker in _START_OF_FRAME and end - at >= 6:
            precision, rows, columns, count = struct.unpack_from(">BHHB", data, at)
            components = tuple(
                Component(identifier=data[c], horizontal=data[c + 1] >> 4, vertical=data[c + 1] & 15)
                for c in range(at + 6, min(end, at + 6 + 3 * count) - 2, 3)
            )
            return FrameHeader(rows=rows, columns=columns, precision=precision, process=marker, components=components)
        if marker == _SOS:
            return None
    return None


def parse(data: Data) -> Codestream:
    """All segments up to the end mark, which must be there. Raises CodestreamFault."""
    tables, scans, at = _Tables(frame=frame_header(data)), [], 2
    while True:
        marker, start, end = next(_segments(data, at), (_SOS, 0, 0))
        if end == 0:
            raise CodestreamFault("the end mark is missing")
        at = end
        if marker == _EOI:
            break
        if marker == _DHT:
            tables.code_lengths.update(_code_lengths(bytes(data[start:end])))
        elif marker == _DRI and end - start >= 2:
            tables.restart_interval = struct.unpack_from(">H", data, start)[0]
        elif marker == _SOS:
            intervals, at = _intervals(data, end)
            scans.append(replace(_scan(bytes(data[start:end]), tables), intervals=intervals))
    if tables.frame is None or not scans:
        raise CodestreamFault("the frame header or the coded data are missing")
    return Codestream(frame=tables.frame, scans=tuple(scans))


def _segments(data: Data, at: int) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of the content of each segment from `at` on."""
    while match := _MARKER.search(data, at):
        marker, at = data[match.end() - 1], match.end()
        if marker in _WITHOUT_LENGTH:
            continue
        if marker == _EOI:
            yield marker, at, at
            return
        if at + 2 > len(data):
            return
        end = at + struct.unpack_from(">H", data, at)[0]
        if end < at + 2 or end > len(data):
            return
        yield marker, at + 2, end
        at = end


def _intervals(data: Data, at: int) -> tuple[tuple[tuple[int, int], ...], int]:
    """The coded data from `at` on, parted at restart markers; and where the marker after it stands."""
    intervals: list[tuple[int, int]] = []
    for match in _MARKER.finditer(data, at):
        intervals.append((at, match.start()))
        marker, at = data[match.end() - 1], match.end()
        if marker not in _RESTART:
            return tuple(intervals), match.start()
        if marker - _RESTART[0] != (len(intervals) - 1) % 8:
            raise CodestreamFault(f"restart marker {len(intervals)} is missing or out of order")
    raise CodestreamFault("the end mark is missing")


def _scan(header: bytes, tables: _Tables) -> Scan:
    """From the scan header (B.2.3)."""
    count = header[0] if header else 0
    if tables.frame is None or len(header) < 4 + 2 * count:
        raise CodestreamFault("a scan header is damaged")
    by_identifier = {component.identifier: component for component in tables.frame.components}
    selected = [(header[1 + 2 * n], header[2 + 2 * n]) for n in range(count)]
    if not selected or any(identifier not in by_identifier for identifier, _ in selected):
        raise CodestreamFault("a scan names a component that the frame lacks")
    dc_tables = [tables.code_lengths.get(table >> 4, {}) for _, table in selected]
    ac_tables = [tables.code_lengths.get(table & 15 | _AC_CLASS, {}) for _, table in selected]
    decisive = {LOSSLESS: dc_tables, PROGRESSIVE: []}.get(tables.frame.process, ac_tables)
    return Scan(
        components=tuple(by_identifier[identifier] for identifier, _ in selected),
        code_lengths=tuple(dc_tables),
        # The first value of a table has a code of zero bits. Value 0 is no difference, or the end of a block.
        zeros_are_data=all(next(iter(table), 0) == 0 for table in decisive),
        first=header[1 + 2 * count],
        last=header[2 + 2 * count],
        point_transform=header[3 + 2 * count] & 15,
        restart_interval=tables.restart_interval,
        intervals=(),
    )


def _code_lengths(content: bytes) -> dict[int, dict[int, int]]:
    """Of each table of a DHT segment, by its class and number (B.2.4.2): value to bits of its code, in their order."""
    tables: dict[int, dict[int, int]] = {}
    at = 0
    while at + 17 <= len(content):
        counts = content[at + 1 : at + 17]
        lengths = [bits for bits, count in enumerate(counts, 1) for _ in range(count)]
        tables[content[at]] = dict(zip(content[at + 17 :], lengths, strict=False))
        at += 17 + len(lengths)
    return tables
