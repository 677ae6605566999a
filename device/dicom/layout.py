"""Layout: a DICOM header comes in; how its pixels lie in the file and how they become grey go out.

Sources: DICOM PS3.3 C.7.6.3 (image pixel), C.11.1 and C.11.2 (modality and VOI), C.11.6 (presentation LUT shape).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from device.dicom.attributes import (
    FAULTS,
    integer,
    is_unclear,
    items,
    number,
    numbers,
    raw,
    text,
    texts,
    words16,
)
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
        photometric=_photometric(header),
        frames=max(1, integer(header, "NumberOfFrames") or 1),
        little_endian=little_endian,
    )


def _photometric(header: Dataset) -> str:
    """MONOCHROME1 however it is written; where nothing is said, by the shape of the presentation LUT (C.8.11.3.1.2)."""
    stated = re.sub(r"[\s_\"'-]+", " ", text(header, "PhotometricInterpretation").upper()).strip()
    shape = text(header, "PresentationLUTShape").upper()
    stated = stated or {"IDENTITY": "MONOCHROME2", "INVERSE": "MONOCHROME1"}.get(shape, "")
    if match := re.fullmatch(r"MONOCHROME ?0?([12])", stated):
        return f"MONOCHROME{match[1]}"
    return stated if stated.startswith("PALETTE") else stated.replace(" ", "_")


_PHOTOMETRIC = re.compile(r"MONOCHROME[12]|PALETTE COLOR|RGB|YBR_(FULL|FULL_422|PARTIAL_42[02]|ICT|RCT)")


def has_unclear_values(header: Dataset, layout: Layout) -> bool:
    """Whether something that decides how values become grey is there and cannot be understood."""
    if not _PHOTOMETRIC.fullmatch(layout.photometric) or _has_unclear_bits(header, layout):
        return True
    if not layout.monochrome:
        return False
    slope = number(header, "RescaleSlope")
    rescale_unclear = is_unclear(header, "RescaleSlope") or is_unclear(header, "RescaleIntercept") or slope == 0
    modality_tables, voi_tables = items(header, "ModalityLUTSequence"), items(header, "VOILUTSequence")
    return (
        rescale_unclear
        or (bool(modality_tables) and _modality_lut(header, layout) is None)
        or (bool(voi_tables) and _lut(voi_tables, layout, _lowest(header, layout)) is None)
    )


def _has_unclear_bits(header: Dataset, layout: Layout) -> bool:
    """Bits Stored and High Bit that do not fit Bits Allocated; a cell of an odd size shows when pixels are read."""
    if layout.bits_allocated not in {8, 16, 32}:
        return False
    stored, high = integer(header, "BitsStored"), integer(header, "HighBit")
    signed = integer(header, "PixelRepresentation")
    stored_fits = stored is None or 0 < stored <= layout.bits_allocated
    high_fits = high is None or layout.stored_bits.bits_stored - 1 <= high < layout.bits_allocated
    return not (stored_fits and high_fits and signed in {None, 0, 1})


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
    """The first VOI LUT, or else the first whole window; None when none is usable."""
    table = _lut(items(header, "VOILUTSequence"), layout, _lowest(header, layout))
    if table is not None:
        return table
    windows = zip(numbers(header, "WindowCenter"), numbers(header, "WindowWidth"), strict=False)
    usable = ((center, width) for center, width in windows if center is not None and width is not None and width > 0)
    center, width = next(usable, (0.0, 0.0))
    if not width:
        return None
    named = next((name.upper() for name in texts(header, "VOILUTFunction") if name), "")
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
        values = _entries(table, descriptor[0] or 65536, descriptor[2], layout)
        if values is not None:
            first = descriptor[1]
            # VR `US or SS`: implicit VR and some writers leave the sign open.
            first = first - 65536 if first > 32767 and first - 65536 >= lowest else first
            needed = int(values.max()).bit_length()
            # Some writers state 8 bits and fill 16, others state 16 and fill 12 (dicom-rs #825, cornerstone #79).
            white = int(values.max()) if needed < descriptor[2] else None
            return Lut(first=first, values=values, bits=max(descriptor[2], needed), white=white)
    return None


def _entries(table: Dataset, count: int, bits: int, layout: Layout) -> NDArray[np.uint16] | None:
    """The entries as unsigned numbers, whatever type they are written in.

    8-bit entries may lie two in a word; of a table that is one entry short the last is held (fo-dicom #1062).
    """
    value = raw(table, "LUTData")
    try:
        entries = (
            np.frombuffer(value[: len(value) & ~1], _order(layout)) if isinstance(value, bytes) else np.array(value)
        )
        entries = np.atleast_1d(entries).astype(np.int64).astype(np.uint16)
    except FAULTS:
        return None
    if bits <= 8 and 2 * len(entries) in {count, count + 1, count - 1}:
        packed = entries.astype("<u2").tobytes()
        odd = value[-1:] if isinstance(value, bytes) and len(value) % 2 else b""
        entries = np.frombuffer(packed + odd, np.uint8).astype(np.uint16)
    values = entries[:count]
    if len(values) == count - 1 and count > 1:
        values = np.append(values, values[-1:])
    return values if len(values) == count else None


def _order(layout: Layout) -> str:
    return "<u2" if layout.little_endian else ">u2"


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
    entries = _byte_palette(header, layout)
    colours = apply_color_lut(indices, header) if entries is None else entries[np.minimum(indices, 255)]
    luma = colours[..., :3].astype(np.float32) @ np.array(LUMA, np.float32)
    top = float(np.iinfo(colours.dtype).max)
    return np.asarray(luma * ((count - 1) / top), np.float32)


def _byte_palette(header: Dataset, layout: Layout) -> NDArray[np.uint8] | None:
    """A palette (256, 3) of 8-bit entries, each in a word of its own (slim #173); None for any other."""
    names = [f"{colour}PaletteColorLookupTable" for colour in ("Red", "Green", "Blue")]
    data = [raw(header, f"{name}Data") for name in names]
    stated = {tuple(words16(header, f"{name}Descriptor", little_endian=layout.little_endian)[::2]) for name in names}
    if stated != {(256, 8)} or any(not isinstance(one, bytes) or len(one) != 512 for one in data):
        return None
    columns = [np.frombuffer(one, _order(layout)) for one in data]
    if max(int(column.max()) for column in columns) > 255:
        return None
    return np.stack(columns, axis=-1).astype(np.uint8)
