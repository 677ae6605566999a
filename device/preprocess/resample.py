"""Resample stored pixel values to 448 x 448 by area average. Part of `preprocess`."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 448
"""Twice the side of the network's input, so that one average serves the network and the thumbnail."""
_GROUP = 32
_STEPS = np.float32(64)
"""Averages are kept to 1/64 of a stored value."""

Pixels = NDArray[Any]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBits:
    """Which bits of a pixel cell hold the value (DICOM Bits Stored, High Bit, Pixel Representation)."""

    bits_stored: int
    high_bit: int
    signed: bool = False


def area_average(pixels: Pixels, stored_bits: StoredBits | None) -> Floats:
    """Return the area average, float32 (448, 448): each output pixel is the mean of the area it covers.

    Raises ValueError for an array that is not (rows, columns).
    """
    if pixels.ndim != 2 or 0 in pixels.shape:
        raise ValueError(f"pixels: expected rows and columns, got {pixels.shape}")
    rows, columns = pixels.shape
    if rows >= SIDE:
        strips = _average_rows(pixels, stored_bits)
    else:
        strips = _weights(rows) @ _stored(pixels, stored_bits).astype(np.float32)
    square = resized(strips, (SIDE, SIDE)) if columns >= SIDE else strips @ _weights(columns).T
    # Rounding removes the differences of float32 and cv2 versions, so a uniform image stays uniform.
    return np.asarray(np.rint(square * _STEPS) / _STEPS, np.float32)


def resized(values: Floats, size: tuple[int, int]) -> Floats:
    """Return the area average in `size` (columns, rows), neither larger than the input."""
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)


def _average_rows(pixels: Pixels, stored_bits: StoredBits | None) -> Floats:
    """Return the mean of each of 448 bands of rows, float32 (448, columns), for 448 rows and more.

    Bands are processed in groups that fit into the cache. The whole rows of a band are summed first; then the fraction
    of the row that two neighbouring bands share moves from one to the other.
    """
    rows, columns = pixels.shape
    edges = np.arange(SIDE + 1) * (rows / SIDE)
    tops = edges.astype(np.int64)
    shares = (edges - tops).astype(np.float32)[:, None]
    bands: Floats = np.empty((SIDE, columns), np.float32)
    for first in range(0, SIDE, _GROUP):
        cuts = tops[first : first + _GROUP + 1] - tops[first]
        group = _stored(pixels[tops[first] : tops[first + _GROUP] + 1], stored_bits)
        for index, (top, bottom) in enumerate(pairwise(cuts.tolist())):
            band = bands[first + index : first + index + 1]
            cv2.reduce(group[top:bottom], 0, cv2.REDUCE_SUM, dst=band, dtype=cv2.CV_32F)
        shared = group[np.minimum(cuts, len(group) - 1)] * shares[first : first + _GROUP + 1]
        bands[first : first + _GROUP] += shared[1:] - shared[:-1]
    bands *= np.float32(SIDE / rows)
    return bands


@functools.lru_cache(maxsize=8)
def _weights(length: int) -> Floats:
    """Return the matrix float32 (448, length) that averages fewer than 448 rows or columns by area."""
    edges = np.linspace(0.0, length, SIDE + 1)
    cells = np.arange(length)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    weights = np.clip(overlap, 0.0, None) * (SIDE / length)
    return np.asarray(weights, np.float32)


def _stored(band: Pixels, stored_bits: StoredBits | None) -> Pixels:
    """Return the stored values of a band, in a dtype that cv2 can sum."""
    if stored_bits is not None:
        band = _unpacked(band, stored_bits)
    if band.dtype in (np.uint8, np.uint16, np.int16, np.float32) and band.dtype.isnative:
        return np.ascontiguousarray(band)
    return np.asarray(band, np.float32)


def _unpacked(band: Pixels, bits: StoredBits) -> Pixels:
    """Remove the bits above (formerly overlays) and below the stored value, then extend the sign."""
    width = 8 * band.dtype.itemsize
    shift = bits.high_bit + 1 - bits.bits_stored
    if bits.bits_stored == width:
        return np.asarray(band.view(band.dtype.str.replace("u", "i"))) if bits.signed else band
    mask = (1 << bits.bits_stored) - 1
    if not shift and not bits.signed:
        return np.asarray(np.bitwise_and(band, band.dtype.type(mask)))
    values = (np.asarray(band, np.int64) >> shift) & mask
    sign = 1 << (bits.bits_stored - 1) if bits.signed else 0
    return np.asarray((values ^ sign) - sign)


def to_network_size(image: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a preprocessed image, uint8 (224, 224), at the (rows, columns) of a network's input.

    Bilinear in whole numbers, alike on every processor: resized inside a network, an image would differ between
    interpreters.
    """
    if image.shape == shape:
        return image
    return np.asarray(cv2.resize(image, shape[::-1], interpolation=cv2.INTER_LINEAR_EXACT), np.uint8)
