"""JPEG 2000 packets: the data and coding parameters of a tile come in; a fault goes out unless they hold all packets.

Only packet headers are read (ITU-T T.800 annex B), which say how long each code-block's data are. Nothing is decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from device.dicom.codestreams.jpeg import CodestreamFault

_BYPASS, _TERMINATE_ALL, _HIGH_THROUGHPUT = 0x01, 0x04, 0x40
_MAX_PASSES = 164
_ANY_PLANES = 1 << 16
"""More bit planes than there can be: how many are zero is not of interest here."""
_LRCP, _RLCP, _RPCL, _PCRL, _CPRL = range(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The reference grid: boxes are (left, top, right, bottom); `sampling` is (x, y) of each component."""

    box: tuple[int, int, int, int]
    tile_size: tuple[int, int]
    tile_at: tuple[int, int]
    sampling: tuple[tuple[int, int], ...]

    @property
    def tiles_across(self) -> int:
        """Tiles in a row."""
        return -(-(self.box[2] - self.tile_at[0]) // self.tile_size[0])

    @property
    def tiles(self) -> int:
        """Of the whole image."""
        return self.tiles_across * -(-(self.box[3] - self.tile_at[1]) // self.tile_size[1])

    def tile_box(self, number: int) -> tuple[int, int, int, int]:
        """Where a tile lies (B.3)."""
        row, column = divmod(number, self.tiles_across)
        left, top = self.tile_at[0] + column * self.tile_size[0], self.tile_at[1] + row * self.tile_size[1]
        right, bottom = left + self.tile_size[0], top + self.tile_size[1]
        return max(left, self.box[0]), max(top, self.box[1]), min(right, self.box[2]), min(bottom, self.box[3])


@dataclass(frozen=True, slots=True, kw_only=True)
class CodingParameters:
    """COD or COC (A.6.1, A.6.2). `block` and `precincts` are exponents of 2, width and height."""

    flags: int
    progression: int
    layers: int
    levels: int
    block: tuple[int, int]
    block_modes: int
    precincts: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, content: bytes, *, flags: int, progression: int, layers: bytes) -> Self:
        """From the part that COD and COC share."""
        levels = content[0]
        sizes = content[5 : 6 + levels] if flags & 1 else b"\xff" * (levels + 1)
        if levels > 32 or len(sizes) <= levels:
            raise CodestreamFault("the coding parameters are damaged")
        return cls(
            flags=flags,
            progression=progression,
            layers=int.from_bytes(layers),
            levels=levels,
            block=(content[1] + 2, content[2] + 2),
            block_modes=content[3],
            precincts=tuple((size & 15, size >> 4) for size in sizes),
        )

    @property
    def has_sop(self) -> bool:
        """A marker may stand before each packet."""
        return bool(self.flags & 2)

    @property
    def has_raw_data(self) -> bool:
        """Not all coded data come from the arithmetic coder."""
        return bool(self.block_modes & (_BYPASS | _HIGH_THROUGHPUT))

    @property
    def has_eph(self) -> bool:
        """A marker stands after each packet header."""
        return bool(self.flags & 4)


class _TagTree:
    """B.10.2."""

    def __init__(self, columns: int, rows: int) -> None:
        self._widths: list[int] = []
        self._low: list[list[int]] = []
        self._exact: list[list[bool]] = []
        while True:
            self._widths.append(columns)
            self._low.append([0] * (columns * rows))
            self._exact.append([False] * (columns * rows))
            if columns * rows <= 1:
                break
            columns, rows = (columns + 1) // 2, (rows + 1) // 2

    def is_below(self, column: int, row: int, threshold: int, bits: _Bits) -> bool:
        """Whether the leaf's value is below `threshold`; reads what is still open."""
        low = 0
        exact = False
        for level in range(len(self._widths) - 1, -1, -1):
            node = (row >> level) * self._widths[level] + (column >> level)
            low = max(low, self._low[level][node])
            exact = self._exact[level][node]
            while not exact and low < threshold:
                if bits.read(1):
                    exact = self._exact[level][node] = True
                else:
                    low += 1
            self._low[level][node] = low
        return exact and low < threshold


class _Bits:
    """Bits of a packet header: after a byte FF the next has seven (B.10.1)."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self.at = at
        self._byte = 0
        self._bits = 0
        self._left = 0

    def read(self, count: int) -> int:
        """The next `count` bits."""
        while self._left < count:
            if self.at >= len(self._data):
                raise CodestreamFault("packets are missing")
            width = 7 if self._byte == 0xFF else 8
            self._byte = self._data[self.at]
            self._bits = self._bits << width | self._byte
            self._left += width
            self.at += 1
        self._left -= count
        value = self._bits >> self._left
        self._bits &= (1 << self._left) - 1
        return value

    def align(self) -> int:
        """Where the next byte begins."""
        return self.at + (self._byte == 0xFF)


@dataclass(slots=True)
class _Block:
    """What the packets before said of a code-block. `passes`: in the segment at hand, of at most `most`."""

    column: int
    row: int
    included: bool = False
    length_bits: int = 3
    passes: int = 0
    most: int = 0


@dataclass(slots=True)
class _Band:
    """The code-blocks of one subband in a precinct."""

    inclusion: _TagTree
    zero_planes: _TagTree
    blocks: list[_Block]


@dataclass(slots=True)
class _Precinct:
    """One precinct: where it stands in the progression, and its subbands."""

    component: int
    resolution: int
    top: int
    left: int
    number: int
    coding: CodingParameters
    bands: list[_Band] = field(default_factory=list)


def check_packets(data: bytes, grid: Grid, tile: int, codings: dict[int, CodingParameters]) -> None:
    """Raise CodestreamFault unless `data` are exactly the packets of the tile."""
    at = 0
    for layer, precinct in _progression(_precincts(grid, tile, codings), codings[0]):
        at = _after_packet(data, at, precinct, layer)
    if at != len(data):
        raise CodestreamFault(f"tile {tile}: packets end at byte {at} of {len(data)}")


def _progression(precincts: list[_Precinct], coding: CodingParameters) -> Iterator[tuple[int, _Precinct]]:
    """Layer and precinct of each packet, in their order (B.12.1)."""
    layers = range(coding.layers)
    if coding.progression in {_LRCP, _RLCP}:
        ordered = sorted(precincts, key=lambda p: (p.resolution, p.component, p.number))
        if coding.progression == _LRCP:
            yield from ((layer, precinct) for layer in layers for precinct in ordered)
            return
        for resolution in range(max(p.resolution for p in precincts) + 1):
            same = [p for p in ordered if p.resolution == resolution]
            yield from ((layer, precinct) for layer in layers for precinct in same)
        return
    keys = {
        _RPCL: lambda p: (p.resolution, p.top, p.left, p.component, p.number),
        _PCRL: lambda p: (p.top, p.left, p.component, p.resolution, p.number),
        _CPRL: lambda p: (p.component, p.top, p.left, p.resolution, p.number),
    }
    if coding.progression not in keys:
        raise CodestreamFault("the order of packets is unknown")
    for precinct in sorted(precincts, key=keys[coding.progression]):
        yield from ((layer, precinct) for layer in layers)


def _precincts(grid: Grid, tile: int, codings: dict[int, CodingParameters]) -> list[_Precinct]:
    """B.5 to B.7."""
    box = grid.tile_box(tile)
    precincts = []
    for component, (across, down) in enumerate(grid.sampling):
        coding = codings[component]
        part = (-(-box[0] // across), -(-box[1] // down), -(-box[2] // across), -(-box[3] // down))
        for resolution in range(coding.levels + 1):
            wide, high = coding.precincts[resolution]
            reduction = coding.levels - resolution
            left, top, right, bottom = (-(-side >> reduction) for side in (part[0], part[1], part[2], part[3]))
            if left >= right or top >= bottom:
                continue
            columns = range(left >> wide, -(-right >> wide))
            rows = range(top >> high, -(-bottom >> high))
            for number, (row, column) in enumerate((row, column) for row in rows for column in columns):
                precincts.append(
                    _Precinct(
                        component=component,
                        resolution=resolution,
                        top=max(box[1], (row << high << reduction) * down),
                        left=max(box[0], (column << wide << reduction) * across),
                        number=number,
                        coding=coding,
                        bands=_bands(part, coding, resolution, column, row),
                    )
                )
    return precincts


def _bands(
    part: tuple[int, int, int, int], coding: CodingParameters, resolution: int, column: int, row: int
) -> list[_Band]:
    """The subbands of a precinct and their code-blocks (B.5, B.7)."""
    shrunk = 1 if resolution else 0
    wide, high = (exponent - shrunk for exponent in coding.precincts[resolution])
    if wide < 0 or high < 0:
        raise CodestreamFault("the size of precincts is damaged")
    level = coding.levels - resolution + shrunk
    bands = []
    for right, low in ((1, 0), (0, 1), (1, 1)) if resolution else ((0, 0),):
        offsets = (right << level >> 1, low << level >> 1)
        left, top, end, bottom = (-(-(part[n] - offsets[n % 2]) >> level) for n in range(4))
        left, top = max(left, column << wide), max(top, row << high)
        end, bottom = min(end, (column + 1) << wide), min(bottom, (row + 1) << high)
        block_wide, block_high = min(coding.block[0], wide), min(coding.block[1], high)
        columns = range(left >> block_wide, -(-end >> block_wide)) if left < end and top < bottom else range(0)
        rows = range(top >> block_high, -(-bottom >> block_high)) if columns else range(0)
        blocks = [_Block(column=x, row=y) for y in range(len(rows)) for x in range(len(columns))]
        trees = (_TagTree(len(columns), len(rows)), _TagTree(len(columns), len(rows)))
        bands.append(_Band(inclusion=trees[0], zero_planes=trees[1], blocks=blocks))
    return bands


def _after_packet(data: bytes, at: int, precinct: _Precinct, layer: int) -> int:
    """Where the packet that begins at `at` ends (B.9, B.10)."""
    if precinct.coding.has_sop and data[at : at + 2] == b"\xff\x91":
        at += 6
    bits = _Bits(data, at)
    body = 0
    if bits.read(1):
        for band in precinct.bands:
            for block in band.blocks:
                body += _block_bytes(block, band, layer, precinct.coding.block_modes, bits)
    at = bits.align()
    if precinct.coding.has_eph and data[at : at + 2] == b"\xff\x92":
        at += 2
    if at + body > len(data):
        raise CodestreamFault("packets are cut off")
    return at + body


def _block_bytes(block: _Block, band: _Band, layer: int, block_modes: int, bits: _Bits) -> int:
    """How many bytes the packet has of a code-block."""
    if block.included:
        if not bits.read(1):
            return 0
    elif not band.inclusion.is_below(block.column, block.row, layer + 1, bits):
        return 0
    else:
        band.zero_planes.is_below(block.column, block.row, _ANY_PLANES, bits)
        block.included = True
    passes = _passes(bits)
    while bits.read(1):
        block.length_bits += 1
    total = 0
    while passes:
        if block.passes == block.most:
            block.passes, block.most = 0, _passes_of_segment(block.most, block_modes)
        these = min(passes, block.most - block.passes)
        total += bits.read(block.length_bits + these.bit_length() - 1)
        block.passes += these
        passes -= these
    return total


def _passes_of_segment(before: int, block_modes: int) -> int:
    """How many passes the next segment of a code-block may have; `before`: the one before, 0 for none (table D.9)."""
    if block_modes & _TERMINATE_ALL:
        return 1
    if block_modes & _HIGH_THROUGHPUT:
        return _MAX_PASSES if before else 1
    if block_modes & _BYPASS:
        return 10 if not before else 2 if before in {1, 10} else 1
    return _MAX_PASSES


def _passes(bits: _Bits) -> int:
    """Number of coding passes (table B.4)."""
    for base, count in ((1, 1), (2, 1), (3, 2), (6, 5)):
        value = bits.read(count)
        if value < (1 << count) - 1:
            return base + value
    return 37 + bits.read(7)
