"""JPEG entropy-coded data: a codestream and its decoded picture come in; a fault goes out unless the data are whole.

Decoders fill up what is missing and report no error: a picture cut off half-way looks whole from outside
(Pillow #2717, fo-dicom.Codecs #37, opencv #26488). So the coded data of every scan and restart interval must last
exactly as long as the picture needs them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.dicom.codestreams.jpeg import LOSSLESS, PROGRESSIVE, Codestream, CodestreamFault, Scan

Samples = NDArray[Any]
Decode = Callable[[bytes], Samples]

_FILLERS = tuple(
    bytes.fromhex(pattern * 4)
    for pattern in (
        "b6d35a9ce7214b8d76ca",
        "492ca56318deb4728935",
        "1f84d3697ac2e50b9b46",
        "e07b2c9685d31af4648b",
        "5d12eb8f34a97c06d1b8",
        "a2ed1470cb5683f92e47",
        "73c9065ef18d2ab45c91",
        "8c36f9a10e72d54ba36e",
    )
)
"""Coded data of no meaning, without FF. Any of them may code what the picture holds already, all of them never do."""
_FILLERS_AFTER_THE_END = 2
"""So many are tried where each has to leave the picture as it is."""
_HOLE = bytes(48)
_SMALL_BYTES = 16
"""A shorter interval may decode to the same picture whatever its last bytes are."""
_TAIL_BYTES = 3
"""Padding after the last code may be up to this long."""
_BAND_ROWS = 64
"""Rows that fit into the cache."""


def check_complete(data: bytes, codestream: Codestream, samples: Samples, decode: Decode) -> None:
    """Raise CodestreamFault unless the coded data give all of `samples`, which `decode` made of `data`."""
    _check_intervals(codestream)
    _check_scans(codestream)
    for scan in codestream.scans:
        _check_zeros(data, scan)
    if codestream.frame.process == LOSSLESS and len(codestream.frame.components) == 1 and len(codestream.scans) == 1:
        _check_lossless(data, codestream, samples)
    else:
        _check_by_decoding(data, codestream, samples, decode)


def _check_intervals(codestream: Codestream) -> None:
    """As many restart intervals as the frame has minimum coded units for."""
    for number, scan in enumerate(codestream.scans, 1):
        units = _units(codestream, scan)
        expected = -(-units // scan.restart_interval) if scan.restart_interval else 1
        if len(scan.intervals) != expected:
            raise CodestreamFault(f"scan {number}: expected {expected} restart intervals, got {len(scan.intervals)}")


def _units(codestream: Codestream, scan: Scan) -> int:
    """Minimum coded units of a scan (T.81 A.2)."""
    frame = codestream.frame
    side = 1 if frame.process == LOSSLESS else 8
    widest = max(component.horizontal for component in frame.components)
    highest = max(component.vertical for component in frame.components)
    if min(widest, highest) < 1:
        raise CodestreamFault("a sampling factor is 0")
    if len(scan.components) > 1:
        return -(-frame.columns // (side * widest)) * -(-frame.rows // (side * highest))
    component = scan.components[0]
    columns = -(-frame.columns * component.horizontal // widest)
    rows = -(-frame.rows * component.vertical // highest)
    return -(-columns // side) * -(-rows // side)


def _check_scans(codestream: Codestream) -> None:
    """Every coefficient of every component is coded to its last bit (T.81 G.1.1)."""
    progressive = codestream.frame.process == PROGRESSIVE
    missing_bits = {component.identifier: [16] * 64 for component in codestream.frame.components}
    for scan in codestream.scans:
        coefficients = slice(scan.first, scan.last + 1) if progressive else slice(0, 64)
        left = scan.point_transform if progressive else 0
        for component in scan.components:
            bits = missing_bits[component.identifier]
            bits[coefficients] = [left] * len(bits[coefficients])
    if any(any(bits) for bits in missing_bits.values()):
        raise CodestreamFault("a scan is missing")


def _check_zeros(data: bytes, scan: Scan) -> None:
    """A long run of zero bits codes one difference or coefficient again and again: only 0 itself can be that often."""
    if scan.zeros_are_data:
        return
    for start, end in scan.intervals:
        if (at := data.find(_HOLE, start, end)) >= 0:
            raise CodestreamFault(f"the coded data have a hole at byte {at}")


def _check_lossless(data: bytes, codestream: Codestream, samples: Samples) -> None:
    """The bits that code the samples' differences are as many as there are (T.81 H.1.2)."""
    scan, frame = codestream.scans[0], codestream.frame
    if scan.restart_interval % frame.columns:
        raise CodestreamFault("the restart interval is not a whole number of rows")
    rows = scan.restart_interval // frame.columns or frame.rows
    values = np.asarray(samples, np.uint16) >> scan.point_transform
    bits_of = _bits_of_difference(scan.code_lengths[0])
    first = 1 << max(0, frame.precision - scan.point_transform - 1)
    for number, (start, end) in enumerate(scan.intervals):
        block = values[number * rows : (number + 1) * rows]
        needed = _coded_bits(block, scan.first, first, bits_of)
        coded = data[start:end].replace(b"\xff\x00", b"\xff")
        unused = 8 * len(coded) - needed
        if unused < 0:
            raise CodestreamFault(f"the coded data of rows from {number * rows} end {-unused} bits early")
        padding = int.from_bytes(coded[-_TAIL_BYTES:]) & ((1 << unused) - 1)
        if unused >= 8 * _TAIL_BYTES or padding not in {0, (1 << unused) - 1}:
            raise CodestreamFault(f"the coded data of rows from {number * rows} last {unused} bits too long")
    if int(samples.max()) >> frame.precision:
        raise CodestreamFault("samples have more bits than the frame")


def _bits_of_difference(code_lengths: dict[int, int]) -> NDArray[np.uint8]:
    """Bits of each difference modulo 65536: the code of its category and the bits after it (H.1.2.2)."""
    differences = np.arange(65536)
    magnitudes = np.minimum(differences, 65536 - differences)
    categories = np.frexp(magnitudes.astype(np.float64))[1]
    bits = np.array([code_lengths.get(c, 200) + (c if c < 16 else 0) for c in range(17)], np.uint8)
    return np.asarray(bits[categories])


def _coded_bits(values: Samples, predictor: int, first: int, bits_of: NDArray[np.uint8]) -> int:
    """Bits that code `values`, uint16 (rows, columns) of one restart interval."""
    above = np.concatenate([np.array([first], np.uint16), values[:-1, 0]])
    bits = int(bits_of[values[:, 0] - above].sum(dtype=np.int64))
    by_left = values if predictor == 1 else values[:1]
    for top in range(0, len(by_left), _BAND_ROWS):
        band = by_left[top : top + _BAND_ROWS]
        bits += int(bits_of[band[:, 1:] - band[:, :-1]].sum(dtype=np.int64))
    if predictor != 1:
        for top in range(0, len(values) - 1, _BAND_ROWS):
            band = values[top : top + _BAND_ROWS + 1]
            bits += int(bits_of[band[1:, 1:] - _predicted(band, predictor)].sum(dtype=np.int64))
    return bits


def _predicted(values: Samples, predictor: int) -> Samples:
    """T.81 table H.1, for all but the first row and column."""
    left, above, corner = (part.astype(np.int32) for part in (values[1:, :-1], values[:-1, 1:], values[:-1, :-1]))
    predictions: dict[int, Samples] = {
        2: above,
        3: corner,
        4: left + above - corner,
        5: left + ((above - corner) >> 1),
        6: above + ((left - corner) >> 1),
        7: (left + above) >> 1,
    }
    if predictor not in predictions:
        raise CodestreamFault(f"expected a predictor from 1 to 7, got {predictor}")
    return predictions[predictor].astype(np.uint16)


def _check_by_decoding(data: bytes, codestream: Codestream, samples: Samples, decode: Decode) -> None:
    """What follows after the end of whole data changes nothing; what replaces their end changes the picture."""
    intervals = [interval for scan in codestream.scans for interval in scan.intervals]
    for filler in _FILLERS[:_FILLERS_AFTER_THE_END]:
        if not np.array_equal(samples, decode(_filled(data, intervals, 0, filler))):
            raise CodestreamFault("the coded data of a scan or restart interval end early")
    for number, scan in enumerate(codestream.scans, 1):
        if codestream.frame.process == PROGRESSIVE and scan.last == 0:
            # The last bits of mean values may change nothing that is not black or white already.
            continue
        unchanged = np.array([end - start >= _SMALL_BYTES for start, end in scan.intervals])
        for filler in _FILLERS:
            if unchanged.any():
                other = decode(_filled(data, list(scan.intervals), _TAIL_BYTES, filler))
                unchanged &= ~_by_interval(_changed_blocks(samples, other), scan, codestream)
        if unchanged.any():
            raise CodestreamFault(f"scan {number}: the coded data last longer than the picture")


def _filled(data: bytes, intervals: list[tuple[int, int]], cut: int, filler: bytes) -> bytes:
    """`data` with `filler` after each interval, whose last `cut` bytes are dropped."""
    pieces, at = [], 0
    for start, end in intervals:
        kept = max(start, end - cut)
        kept -= kept > start and data[kept - 1] == 0xFF
        pieces += [data[at:kept], filler]
        at = end
    return b"".join([*pieces, data[at:]])


def _changed_blocks(samples: Samples, other: Samples) -> NDArray[np.bool_]:
    """Which blocks of 8 x 8 pixels differ, in the order of the scan lines, as (rows, columns)."""
    different = samples != other
    if different.ndim == 3:
        different = different.any(axis=2)
    rows, columns = (-(-side // 8) for side in different.shape)
    padded = np.zeros((8 * rows, 8 * columns), bool)
    padded[: different.shape[0], : different.shape[1]] = different
    return np.asarray(padded.reshape(rows, 8, columns, 8).any(axis=(1, 3)))


def _by_interval(changed: NDArray[np.bool_], scan: Scan, codestream: Codestream) -> NDArray[np.bool_]:
    """Whether the picture changed in each restart interval; all as one where a unit is more than a block."""
    frame = codestream.frame
    if len(scan.intervals) == 1 or len(frame.components) > 1 or frame.process == LOSSLESS:
        return np.full(len(scan.intervals), changed.any())
    starts = np.arange(0, changed.size, scan.restart_interval)
    return np.asarray(np.logical_or.reduceat(changed.ravel(), starts))
