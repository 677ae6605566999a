"""Render stored pixel values as the 224 x 224 grey image of the network and as a thumbnail.

Training, export and the box call this one function. PREPROCESS_VERSION stands for the order of its steps: stored value
(unused bits removed), area average to 448 x 448 and from there to 224 x 224, modality transform, VOI transform, 8 bits,
inversion. Formulas: DICOM PS3.3 C.11.1 (modality), C.11.2 (VOI), C.7.6.3.1 (stored values).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from device.preprocess.resample import (
    SIDE,
    Floats,
    Pixels,
    StoredBits,
    area_average,
    resized,
)

__all__ = [
    "AS_IS",
    "INPUT_SHAPE",
    "PREPROCESS_VERSION",
    "Grey",
    "Lut",
    "Rendered",
    "Rendering",
    "Span",
    "StoredBits",
    "Window",
    "WindowFunction",
    "preprocess",
    "render",
    "thumbnail",
]

PREPROCESS_VERSION = 1
INPUT_SHAPE = (224, 224)
THUMBNAIL_QUALITY = 85
ROBUST_PERCENTILES = (1.0, 99.0)

Grey = NDArray[np.uint8]


class WindowFunction(StrEnum):
    """VOI LUT Function (0028,1056)."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A VOI window in units of the modality transform's output. `width` is at least 1 for LINEAR, else above 0."""

    center: float
    width: float
    function: WindowFunction = WindowFunction.LINEAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A linear range from `low`, black, to `high`, white: 8-bit images as they are, or a robust range."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lut:
    """A lookup table: input `first` gives `values[0]`; inputs outside give the nearest entry. `bits` per entry.

    `white`: the entry that is white, where the largest one needs fewer bits than are stated.
    """

    first: int
    values: NDArray[np.uint16]
    bits: int
    white: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """How stored values become grey.

    `stored_bits` None: the array holds the values themselves. `voi` None: a robust range of the averaged image.
    `padding` is the range of stored values outside the image; it is left out of the robust range.
    """

    stored_bits: StoredBits | None = None
    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: Lut | None = None
    voi: Window | Lut | Span | None = None
    padding: tuple[float, float] | None = None
    invert: bool = False


AS_IS = Rendering(voi=Span(low=0.0, high=255.0))
"""For 8-bit images, where 0 is black and 255 is white already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """Images for the network and the board: `image` uint8 (224, 224), 0 black to 255 white; `thumbnail` a JPEG."""

    image: Grey
    thumbnail: bytes


def preprocess(pixels: Pixels, rendering: Rendering) -> Grey:
    """Return grey values uint8 (224, 224) as on a lightbox, 0 black to 255 white.

    `pixels` is (rows, columns) of any integer or float type and at least 1 x 1. The image is stretched to a square and
    averaged by area. Raises ValueError for another shape.
    """
    return _image(area_average(pixels, rendering.stored_bits), rendering)[0]


def thumbnail(pixels: Pixels, rendering: Rendering) -> bytes:
    """Return a JPEG of the image, true aspect, longest side 448 pixels."""
    return render(pixels, rendering).thumbnail


def render(pixels: Pixels, rendering: Rendering) -> Rendered:
    """Return image and thumbnail from one area average; see `preprocess`."""
    average = area_average(pixels, rendering.stored_bits)
    image, rendering = _image(average, rendering)
    rows, columns = pixels.shape
    longest = max(rows, columns)
    size = (max(1, round(SIDE * columns / longest)), max(1, round(SIDE * rows / longest)))
    _, jpeg = cv2.imencode(
        ".jpg", _grey(resized(average, size), rendering), [cv2.IMWRITE_JPEG_QUALITY, THUMBNAIL_QUALITY]
    )
    return Rendered(image=image, thumbnail=jpeg.tobytes())


def _image(average: Floats, rendering: Rendering) -> tuple[Grey, Rendering]:
    """Return the image, and the rendering with its range fixed, so that the thumbnail has the same one."""
    small = resized(average, INPUT_SHAPE[::-1])
    if rendering.voi is None:
        rendering = _with_robust_span(small, rendering)
    return _grey(small, rendering), rendering


def _grey(stored: Floats, rendering: Rendering) -> Grey:
    """Return averaged stored values as 8 bits: clipped before rounding, inverted last."""
    if rendering.voi is None:
        raise ValueError("rendering: expected a VOI range, got none")
    share = _voi(_modality(stored, rendering), rendering.voi)
    grey = np.floor(np.clip(share, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    return np.subtract(255, grey, dtype=np.uint8) if rendering.invert else grey


def _modality(stored: Floats, rendering: Rendering) -> NDArray[np.float64]:
    if rendering.modality_lut is not None:
        return _looked_up(stored, rendering.modality_lut)
    return stored.astype(np.float64) * rendering.slope + rendering.intercept


def _looked_up(values: NDArray[Any], lut: Lut) -> NDArray[np.float64]:
    """Interpolate linearly, because averages fall between two entries."""
    inputs = lut.first + np.arange(len(lut.values), dtype=np.float64)
    return np.asarray(np.interp(values, inputs, lut.values), np.float64)


def _voi(values: NDArray[np.float64], voi: Window | Lut | Span) -> NDArray[np.float64]:
    """Return the share of white, 0 to 1 and not yet clipped."""
    if isinstance(voi, Lut):
        return _looked_up(values, voi) / (voi.white or (1 << voi.bits) - 1)
    if isinstance(voi, Span):
        reach = voi.high - voi.low
        return (values - voi.low) / reach if reach > 0 else np.zeros_like(values)
    return _windowed(values, voi)


def _windowed(values: NDArray[np.float64], window: Window) -> NDArray[np.float64]:
    """PS3.3 C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2 (LINEAR_EXACT)."""
    center, width = window.center, window.width
    if window.function is WindowFunction.SIGMOID:
        power = np.clip(-4.0 * (values - center) / width, -80.0, 80.0)
        return np.asarray(1.0 / (1.0 + np.exp(power)), np.float64)
    if window.function is WindowFunction.LINEAR_EXACT:
        return (values - center) / width + 0.5
    if width <= 1.0:
        return (values > center - 0.5).astype(np.float64)
    return (values - (center - 0.5)) / (width - 1.0) + 0.5


def _with_robust_span(small: Floats, rendering: Rendering) -> Rendering:
    """Set the range from the 1st to the 99th percentile of the averaged image, padding left out."""
    values = small.ravel()
    if rendering.padding is not None:
        low, high = rendering.padding
        kept = values[(values < low - 0.5) | (values > high + 0.5)]
        values = kept if kept.size else values
    low, high = np.percentile(_modality(values, rendering), ROBUST_PERCENTILES)
    return replace(rendering, voi=Span(low=float(low), high=float(high)))
