"""Layout: a DICOM header comes in; how its pixels lie in the file and how they become grey go out.

Sources: DICOM PS3.3 C.7.6.3 (image pixel), C.11.1 and C.11.2 (modality and VOI), C.11.6 (presentation LUT shape).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from device.dicom.attributes import FAULTS, integer, items, number, raw, text, words16
from device.preprocess.render import (
    Lut,
    Rendering,
    Span,
    StoredBits,
    Window,
    WindowFunction,
)

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601, as JPEG and cv2 have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The image pixel module. Not checked: what does not fit shows when the pixels are read."""

    rows: int
    columns: int
    samples: int
    planar: bool
    bits_allocated: int
    stored_bits: StoredBits
    photometric: str
    frames: int
    little_endian: bool

    @property
    def monochrome(self) -> bool:
        """One value per pixel that is a brightness."""
        return self.samples == 1 and not self.photometric.startswith("PALETTE")

    @property
    def pixels(self) -> int:
        """Of one frame."""
        return self.rows * self.columns


def layout_of(header: Dataset, *, little_endian: bool) -> Layout:
    """Missing attributes get what most files would have said."""
    allocated = integer(header, "BitsAllocated") or 0
    stored = integer(header, "BitsStored") or allocated
    stored = stored if 0 < stored <= allocated else allocated
    high = integer(header, "HighBit")
    fits = high is not None and stored - 1 <= high < allocated
    return Layout(
        rows=integer(header, "Rows") or 0,
        columns=integer(header, "Columns") or 0,
        samples=integer(header, "SamplesPerPixel") or 1,
        planar=integer(header, "PlanarConfiguration") == 1,
        bits_allocated=allocated,
        stored_bits=StoredBits(
            bits_stored=stored,
            high_bit=high if fits and high is not None else stored - 1,
            signed=integer(header, "PixelRepresentation") == 1,
        ),
        photometric=text(header, "PhotometricInterpretation").upper() or "MONOCHROME2",
        frames=max(1, integer(header, "NumberOfFrames") or 1),
        little_endian=little_endian,
    )


def rendering_of(header: Dataset, layout: Layout) -> Rendering:
    """How stored values become grey. Colour is turned into brightness before, so nothing is left to do for it."""
    if not layout.monochrome:
        return Rendering(voi=Span(low=0.0, high=float((1 << layout.stored_bits.bits_stored) - 1)))
    slope, intercept = _rescale(header)
    modality_lut = _modality_lut(header, layout)
    voi: Window | Lut | Span | None = stated_voi(header, layout)
    if voi is None and layout.stored_bits.bits_stored <= 8 and not layout.stored_bits.signed:
        unscaled = modality_lut is None and (slope, intercept) == (1.0, 0.0)
        voi = Span(low=0.0, high=float((1 << layout.stored_bits.bits_stored) - 1)) if unscaled else None
    return Rendering(
        stored_bits=layout.stored_bits,
        slope=slope,
        intercept=intercept,
        modality_lut=modality_lut,
        voi=voi,
        padding=_padding(header, layout),
        invert=_inverted(header, layout),
    )


def _rescale(header: Dataset) -> tuple[float, float]:
    return number(header, "RescaleSlope") or 1.0, number(header, "RescaleIntercept") or 0.0


def _modality_lut(header: Dataset, layout: Layout) -> Lut | None:
    low = -32768.0 if layout.stored_bits.signed else 0.0
    return _lut(items(header, "ModalityLUTSequence"), layout, low)


def _lowest(header: Dataset, layout: Layout) -> float:
    """The least value that the modality transform can give: what a VOI LUT begins with may be as low (C.11.2.1.1)."""
    if _modality_lut(header, layout) is not None:
        return 0.0
    if layout.stored_bits.signed:
        return -32768.0
    slope, intercept = _rescale(header)
    return min(intercept, intercept + slope * ((1 << layout.stored_bits.bits_stored) - 1))


def _inverted(header: Dataset, layout: Layout) -> bool:
    # Both say the same (C.8.11.3.1.2): an image that says it twice is inverted once.
    return layout.photometric == "MONOCHROME1" or text(header, "PresentationLUTShape").upper() == "INVERSE"


def stated_voi(header: Dataset, layout: Layout) -> Window | Lut | None:
    """The first VOI LUT, or else the first window; None when neither is usable."""
    table = _lut(items(header, "VOILUTSequence"), layout, _lowest(header, layout))
    if table is not None:
        return table
    center, width = number(header, "WindowCenter"), number(header, "WindowWidth")
    if center is None or width is None or width <= 0:
        return None
    named = text(header, "VOILUTFunction").upper()
    function = WindowFunction(named) if named in WindowFunction.__members__ else WindowFunction.LINEAR
    if function is WindowFunction.LINEAR and width < 1:
        # LINEAR is not defined there (C.11.2.1.2.1); values that small come with a fractional rescale.
        function = WindowFunction.LINEAR_EXACT
    return Window(center=center, width=width, function=function)


def _lut(tables: object, layout: Layout, lowest: float) -> Lut | None:
    """The first usable table; its inputs may be as low as `lowest`."""
    for table in tables if isinstance(tables, list) else []:
        descriptor = words16(table, "LUTDescriptor", little_endian=layout.little_endian)
        if len(descriptor) != 3 or not 1 <= descriptor[2] <= 16:
            continue
        values = _entries(table, descriptor[0] or 65536, layout)
        if values is not None:
            return Lut(first=_first(descriptor[1], lowest), values=values, bits=_bits(values, descriptor[2]))
    return None


def _first(stated: int, lowest: float) -> int:
    # VR `US or SS`: implicit VR and some writers leave the sign open.
    return stated - 65536 if stated > 32767 and stated - 65536 >= lowest else stated


def _bits(values: NDArray[np.uint16], stated: int) -> int:
    # Some writers state 8 and fill 16.
    return max(stated, int(values.max()).bit_length())


def _entries(table: Dataset, count: int, layout: Layout) -> NDArray[np.uint16] | None:
    value = raw(table, "LUTData")
    try:
        if isinstance(value, bytes):
            dtype = "u1" if len(value) < 2 * count else f"{'<' if layout.little_endian else '>'}u2"
            values = np.frombuffer(value, dtype)
        else:
            values = np.array(value, np.uint16, ndmin=1)
    except FAULTS:
        return None
    values = values[:count].astype(np.uint16)
    return values if len(values) == count else None


def _padding(header: Dataset, layout: Layout) -> tuple[float, float] | None:
    ends = [
        value
        for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")
        for value in words16(header, keyword, little_endian=layout.little_endian, signed=layout.stored_bits.signed)[:1]
    ]
    return (float(min(ends)), float(max(ends))) if ends else None


def palette_luma(header: Dataset, layout: Layout) -> NDArray[np.float32]:
    """Brightness of each palette index, in the palette's own depth scaled to `bits_stored`. Raises one of FAULTS."""
    count = 1 << min(16, layout.stored_bits.bits_stored)
    indices = np.arange(count, dtype=np.uint8 if count <= 256 else np.uint16)
    colours = apply_color_lut(indices, header)
    luma = colours[..., :3].astype(np.float32) @ np.array(LUMA, np.float32)
    top = float(np.iinfo(colours.dtype).max)
    return np.asarray(luma * ((count - 1) / top), np.float32)
