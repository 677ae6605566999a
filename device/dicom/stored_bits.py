"""Stored bits: plain pixel values come in; they go out in the right byte order, or a fault if they do not fit.

Values above Bits Stored would be wrapped to noise (duke-dbt-data #1), and so would bytes in the wrong order. Bits that
hold an overlay change little between neighbours once they are removed; what wraps changes more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.preprocess.resample import StoredBits

Samples = NDArray[Any]
_SAMPLED_ROWS = 64
_CLEARLY = 3.0
"""How many times rougher an image must be in the wrong byte order."""


class PixelFault(Exception):
    """Too few pixels, or values or fragments that do not hold together; the image is unreadable."""


def with_byte_order(values: Samples, bits: StoredBits) -> tuple[Samples, bool]:
    """16-bit `values` (rows, columns) with their bytes in the right order, and whether they had to be swapped.

    Raises PixelFault for values that have more bits than are stored.
    """
    if values.dtype.itemsize != 2 or bits.bits_stored == 16:
        return values, False
    shift = bits.high_bit + 1 - bits.bits_stored
    mask = ((1 << bits.bits_stored) - 1) << shift
    unused = 0xFFFF & ~mask
    if not int(np.bitwise_or.reduce(values, axis=None)) & unused:
        return values, False
    rows = values[:: max(1, len(values) // _SAMPLED_ROWS)].astype(np.uint16)
    constant = int(np.bitwise_and.reduce(rows, axis=None)) | ~int(np.bitwise_or.reduce(rows, axis=None))
    signs = rows.view(np.int16) >> bits.high_bit
    if constant & unused == unused or (bits.signed and ((signs == 0) | (signs == -1)).all()):
        return values, False
    swapped = rows.byteswap()
    if not (swapped & unused).any() and _roughness(swapped) * _CLEARLY < _roughness(rows):
        return values.byteswap(), True
    if _wraps(rows, mask):
        raise PixelFault(f"values have more bits than the {bits.bits_stored} that are stored")
    return values, False


def _wraps(rows: Samples, mask: int) -> bool:
    """Whether values rather run on into the unused bits: where these change, the whole value hardly does."""
    changes = np.diff(rows & (0xFFFF & ~mask), axis=1) != 0
    whole, masked = (np.abs(np.diff(values.astype(np.int64), axis=1))[changes] for values in (rows, rows & mask))
    return bool(whole.size and np.median(masked) > np.median(whole))


def unswapped_bytes(values: Samples) -> Samples:
    """8-bit `values` written as big-endian words: every two bytes change places, where that is smoother (PS3.5 7.3)."""
    if values.size % 2:
        return values
    flat = np.ascontiguousarray(values).reshape(-1)
    swapped = flat.view(np.uint16).byteswap().view(np.uint8).reshape(values.shape)
    return swapped if _roughness(swapped) < _roughness(values) else values


def _roughness(values: Samples) -> float:
    """Mean difference of neighbours in a row."""
    return float(np.abs(np.diff(values.astype(np.int64), axis=1)).mean()) if values.shape[1] > 1 else 0.0
