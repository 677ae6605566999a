"""Preprocess: stored pixel values and how they become grey come in; 224 x 224 grey values and a thumbnail go out.

The one copy: training, export and the box call it. One order, held by PREPROCESS_VERSION: stored value (unused bits
dropped) - area average to 448 x 448 and from there to 224 x 224 - modality transform - values of interest - 8 bits -
inversion. Formulas: DICOM PS3.3 C.11.1 (modality), C.11.2 (values of interest), C.7.6.3.1 (stored values).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

PREPROCESS_VERSION = 1
INPUT_SHAPE = (224, 224)
THUMBNAIL_SIDE = 448
"""Twice the input's side, so that one average serves the network and the thumbnail."""
THUMBNAIL_QUALITY = 85
ROBUST_PERCENTILES = (1.0, 99.0)

Pixels = NDArray[Any]
Floats = NDArray[np.float32]
Grey = NDArray[np.uint8]


class WindowFunction(StrEnum):
    """VOI LUT Function (0028,1056)."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A window in units of the modality transform's output. `width` is at least 1 for LINEAR, above 0 otherwise."""

    center: float
    width: float
    function: WindowFunction = WindowFunction.LINEAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """`low` becomes black and `high` white, in a straight line: 8-bit pictures as they are, or a robust range."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lut:
    """A lookup table: input `first` has `values[0]`; outside the ends the nearest holds. `bits` per entry."""

    first: int
    values: NDArray[np.uint16]
    bits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Where the stored value sits in its container (Bits Stored, High Bit, Pixel Representation)."""

    bits_stored: int
    high_bit: int
    signed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """How stored values become grey.

    `words` None: the array holds the values themselves. `voi` None: a robust range of the averaged film.
    `padding` is the stored value range that holds no film; it stays out of the robust range.
    """

    words: Words | None = None
    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: Lut | None = None
    voi: Window | Lut | Span | None = None
    padding: tuple[float, float] | None = None
    invert: bool = False


AS_IS = Rendering(voi=Span(low=0.0, high=255.0))
"""8-bit pictures: black is 0 and white 255 already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What the network and the board need. `image` uint8 (224, 224), 0 black to 255 white; `thumbnail` a JPEG."""

    image: Grey
    thumbnail: bytes


def preprocess(pixels: Pixels, rendering: Rendering) -> Grey:
    """Grey values uint8 (224, 224) as on a lightbox, 0 black to 255 white.

    `pixels` (rows, columns) of any integer or float type and at least 1 x 1. The film is stretched to a square and
    area-averaged. Raises ValueError for another shape.
    """
    return _image(_average(pixels, rendering.words), rendering)[0]


def thumbnail(pixels: Pixels, rendering: Rendering) -> bytes:
    """JPEG of the film, true aspect, longest side 448 pixels."""
    return render(pixels, rendering).thumbnail


def render(pixels: Pixels, rendering: Rendering) -> Rendered:
    """Image and thumbnail from one average of the film; see `preprocess`."""
    average = _average(pixels, rendering.words)
    image, rendering = _image(average, rendering)
    rows, columns = pixels.shape
    longest = max(rows, columns)
    size = (_side(columns, longest), _side(rows, longest))
    shown = _grey(cv2.resize(average, size, interpolation=cv2.INTER_AREA), rendering)
    _, jpeg = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, THUMBNAIL_QUALITY])
    return Rendered(image=image, thumbnail=jpeg.tobytes())


def _side(length: int, longest: int) -> int:
    return max(1, round(THUMBNAIL_SIDE * length / longest))


def _image(average: Floats, rendering: Rendering) -> tuple[Grey, Rendering]:
    """The image, and the rendering with its range settled, so that the thumbnail has the same."""
    small = cv2.resize(average, INPUT_SHAPE[::-1], interpolation=cv2.INTER_AREA)
    if rendering.voi is None:
        rendering = _with_robust_span(small, rendering)
    return _grey(small, rendering), rendering


def _average(pixels: Pixels, words: Words | None) -> Floats:
    """Area average float32 (448, 448) of the stored values: each output pixel is the mean of the area it covers."""
    if pixels.ndim != 2 or 0 in pixels.shape:
        raise ValueError(f"pixels: rows and columns expected, got {pixels.shape}")
    rows, columns = pixels.shape
    if rows >= THUMBNAIL_SIDE:
        strips = _average_rows(pixels, words)
    else:
        strips = _weights(rows) @ _stored(pixels, words).astype(np.float32)
    if columns >= THUMBNAIL_SIDE:
        return np.asarray(cv2.resize(strips, (THUMBNAIL_SIDE,) * 2, interpolation=cv2.INTER_AREA), np.float32)
    return np.asarray(strips @ _weights(columns).T, np.float32)


def _average_rows(pixels: Pixels, words: Words | None) -> Floats:
    """Mean of each of 448 bands of rows, float32 (448, columns). By bands, because a band stays in the cache."""
    rows, columns = pixels.shape
    bands: Floats = np.empty((THUMBNAIL_SIDE, columns), np.float32)
    for index in range(THUMBNAIL_SIDE):
        top, bottom = rows * index / THUMBNAIL_SIDE, rows * (index + 1) / THUMBNAIL_SIDE
        first, end = int(top), min(rows, math.ceil(bottom))
        band = _stored(pixels[first:end], words)
        total = bands[index : index + 1]
        cv2.reduce(band, 0, cv2.REDUCE_SUM, dst=total, dtype=cv2.CV_32F)
        # The band's first and last rows belong to it in part.
        if top > first:
            total -= band[0] * np.float32(top - first)
        if end > bottom:
            total -= band[-1] * np.float32(end - bottom)
    bands *= np.float32(THUMBNAIL_SIDE / rows)
    return bands


@functools.lru_cache(maxsize=8)
def _weights(length: int) -> Floats:
    """Matrix float32 (448, length) whose product is the area average, for fewer than 448 rows or columns."""
    edges = np.linspace(0.0, length, THUMBNAIL_SIDE + 1)
    cells = np.arange(length)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    weights = np.clip(overlap, 0.0, None) * (THUMBNAIL_SIDE / length)
    return np.asarray(weights, np.float32)


def _stored(band: Pixels, words: Words | None) -> Pixels:
    """The stored values of a band, in a type that cv2 can sum."""
    if words is not None:
        band = _unpacked(band, words)
    if band.dtype in (np.uint8, np.uint16, np.int16, np.float32) and band.dtype.isnative:
        return np.ascontiguousarray(band)
    return band.astype(np.float32)


def _unpacked(band: Pixels, words: Words) -> Pixels:
    """Drop what is not the stored value: bits above High Bit (once overlays), bits below; then extend the sign."""
    width = 8 * band.dtype.itemsize
    shift = words.high_bit + 1 - words.bits_stored
    if words.bits_stored == width:
        return band.view(band.dtype.str.replace("u", "i")) if words.signed else band
    mask = (1 << words.bits_stored) - 1
    if not shift and not words.signed:
        return np.bitwise_and(band, band.dtype.type(mask))
    values = (band.astype(np.int64) >> shift) & mask
    if words.signed:
        sign = 1 << (words.bits_stored - 1)
        values = (values ^ sign) - sign
    return values


def _grey(stored: Floats, rendering: Rendering) -> Grey:
    """Averaged stored values to 8 bits. Clipped before rounding; inverted last, and once."""
    if rendering.voi is None:
        raise ValueError("rendering: settle the range first")
    share = _voi(_modality(stored, rendering), rendering.voi)
    grey = np.floor(np.clip(share, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    return np.subtract(255, grey, dtype=np.uint8) if rendering.invert else grey


def _modality(stored: Floats, rendering: Rendering) -> NDArray[np.float64]:
    if rendering.modality_lut is not None:
        return _looked_up(stored, rendering.modality_lut)
    return stored.astype(np.float64) * rendering.slope + rendering.intercept


def _looked_up(values: NDArray[Any], lut: Lut) -> NDArray[np.float64]:
    """Averages fall between two entries: a straight line joins them."""
    inputs = lut.first + np.arange(len(lut.values), dtype=np.float64)
    return np.interp(values, inputs, lut.values)


def _voi(values: NDArray[np.float64], voi: Window | Lut | Span) -> NDArray[np.float64]:
    """Values to the share of white, 0 to 1 (unclipped)."""
    if isinstance(voi, Lut):
        return _looked_up(values, voi) / ((1 << voi.bits) - 1)
    if isinstance(voi, Span):
        reach = voi.high - voi.low
        return (values - voi.low) / reach if reach > 0 else np.zeros_like(values)
    return _windowed(values, voi)


def _windowed(values: NDArray[np.float64], window: Window) -> NDArray[np.float64]:
    """PS3.3 C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2 (LINEAR_EXACT)."""
    center, width = window.center, window.width
    if window.function is WindowFunction.SIGMOID:
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / width, -80.0, 80.0)))
    if window.function is WindowFunction.LINEAR_EXACT:
        return (values - center) / width + 0.5
    if width <= 1.0:
        return (values > center - 0.5).astype(np.float64)
    return (values - (center - 0.5)) / (width - 1.0) + 0.5


def _with_robust_span(small: Floats, rendering: Rendering) -> Rendering:
    """The range from the first to the 99th percentile of the averaged film, padding left out."""
    film = small.ravel()
    if rendering.padding is not None:
        low, high = rendering.padding
        inside = (film < low - 0.5) | (film > high + 0.5)
        film = film[inside] if inside.any() else film
    low, high = np.percentile(_modality(film, rendering), ROBUST_PERCENTILES)
    return Rendering(
        words=rendering.words,
        slope=rendering.slope,
        intercept=rendering.intercept,
        modality_lut=rendering.modality_lut,
        voi=Span(low=float(low), high=float(high)),
        invert=rendering.invert,
    )
