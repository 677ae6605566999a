"""JPEG 2000: the bytes of a codestream come in; its frame header goes out, or a fault where a part of it is missing.

ITU-T T.800 annexes A and B, and T.814 for the code-blocks of HTJ2K. OpenJPEG takes a hole for empty packets
(openjpeg #1407), so the headers of all packets are read: together they must last exactly as long as the tile's data.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from device.dicom.codestreams.jpeg import CodestreamFault, FrameHeader
from device.dicom.codestreams.jpeg2000_packets import CodingParameters, Grid, check_packets

_SOC, _SOT, _SOD, _EOC = 0xFF4F, 0xFF90, 0xFF93, 0xFFD9
_COD, _COC, _POC, _PPM, _PPT = 0xFF52, 0xFF53, 0xFF5F, 0xFF60, 0xFF61
_HOLE, _LONG_HOLE = bytes(16), bytes(256)
"""The arithmetic coder never gives so many zero bytes; raw and HTJ2K data may for a while."""
_MAX_TILES = 65535
_INVALID = re.compile(rb"\xff[\x90-\xff]")
"""No coded data hold these (A.1), but for the two markers that may stand beside a packet's header."""


@dataclass(slots=True)
class _Tile:
    """A tile: its coding parameters and the data of its parts."""

    codings: dict[int, CodingParameters]
    data: bytearray = field(default_factory=bytearray)


def frame_header(data: bytes) -> FrameHeader | None:
    """From the SIZ marker of a codestream, bare or in a JP2 box (T.800 A.5.1); None without one."""
    at = data.find(b"\xff\x4f\xff\x51", 0, 4096)
    if at < 0 or at + 43 > len(data):
        return None
    right, bottom, left, top = struct.unpack_from(">4I", data, at + 8)
    return FrameHeader(rows=bottom - top, columns=right - left, precision=(data[at + 42] & 0x7F) + 1)


def check_complete(data: bytes) -> None:
    """Raise CodestreamFault unless all tile-parts and all their packets are there."""
    start = data.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start < 0:
        raise CodestreamFault("the codestream has no header")
    grid = _grid(data, start + 4)
    tiles, has_unread_packet_headers = _tiles(data, start, grid)
    if grid.tiles > _MAX_TILES or set(tiles) != set(range(grid.tiles)):
        raise CodestreamFault(f"expected {grid.tiles} tiles, got {len(tiles)}")
    for number, tile in tiles.items():
        content = bytes(tile.data)
        coding = tile.codings[0]
        if (_LONG_HOLE if coding.has_raw_data else _HOLE) in content:
            raise CodestreamFault(f"the data of tile {number} have a hole")
        allowed = {b"\xff\x91"} if coding.has_sop else set()
        allowed |= {b"\xff\x92"} if coding.has_eph else set()
        if any(match.group() not in allowed for match in _INVALID.finditer(content)):
            raise CodestreamFault(f"the data of tile {number} are damaged")
        if not has_unread_packet_headers:
            check_packets(content, grid, number, tile.codings)


def _grid(data: bytes, at: int) -> Grid:
    """The reference grid (SIZ)."""
    values = struct.unpack_from(">HH8IH", data, at)
    _, _, right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, components = values
    sampling = tuple((data[at + 39 + 3 * n], data[at + 40 + 3 * n]) for n in range(components))
    if not sampling or any(0 in pair for pair in sampling) or not tile_width or not tile_height:
        raise CodestreamFault("the size of the image is not stated")
    return Grid(
        box=(left, top, right, bottom),
        tile_size=(tile_width, tile_height),
        tile_at=(tile_left, tile_top),
        sampling=sampling,
    )


def _tiles(data: bytes, start: int, grid: Grid) -> tuple[dict[int, _Tile], bool]:
    """All tiles up to the end mark; and whether packets are in an order or place that is not read here."""
    main: dict[int, CodingParameters] = {}
    tiles: dict[int, _Tile] = {}
    unread = False
    at = start + 2
    while True:
        marker, content, end = _segment(data, at)
        if marker == _EOC:
            return tiles, unread
        if marker == _SOT:
            number, length = struct.unpack_from(">HI", content)
            end = at + length if length else max(0, data.rfind(b"\xff\xd9"))
            if not at < end <= len(data) - 2:
                raise CodestreamFault(f"tile {number} is cut off")
            tile = tiles.setdefault(number, _Tile(codings=dict(main)))
            unread |= _read_tile_part(data, at + 12, end, tile, grid)
        else:
            unread |= marker in {_POC, _PPM}
            _read_coding(marker, content, main, grid)
        at = end


def _read_tile_part(data: bytes, at: int, end: int, tile: _Tile, grid: Grid) -> bool:
    unread = False
    while at < end:
        marker, content, after = _segment(data, at)
        if marker == _SOD:
            tile.data += data[after:end]
            return unread
        unread |= marker in {_POC, _PPT}
        _read_coding(marker, content, tile.codings, grid)
        at = after
    raise CodestreamFault("a tile has no data")


def _segment(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Marker, content and end of the segment at `at`."""
    if at + 2 > len(data):
        raise CodestreamFault("the end mark is missing")
    marker = struct.unpack_from(">H", data, at)[0]
    if marker in {_EOC, _SOD}:
        return marker, b"", at + 2
    if marker < 0xFF00 or at + 4 > len(data):
        raise CodestreamFault("a segment of the codestream is damaged")
    end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
    if end > len(data) or end < at + 4:
        raise CodestreamFault("a segment of the codestream is cut off")
    return marker, data[at + 4 : end], end


def _read_coding(marker: int, content: bytes, codings: dict[int, CodingParameters], grid: Grid) -> None:
    """COD gives the coding parameters of all components (A.6.1), COC that of one (A.6.2)."""
    components = len(grid.sampling)
    if marker == _COD:
        common = CodingParameters.of(content[5:], flags=content[0], progression=content[1], layers=content[2:4])
        codings.update(dict.fromkeys(range(components), common))
    elif marker == _COC:
        wide = 2 if components > 256 else 1
        component = int.from_bytes(content[:wide])
        base = codings[0]
        flags = base.flags & ~1 | content[wide] & 1
        layers = base.layers.to_bytes(2)
        codings[component] = CodingParameters.of(
            content[wide + 1 :], flags=flags, progression=base.progression, layers=layers
        )
