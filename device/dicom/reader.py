"""Reader: a path comes in; an ImageFile (facts, box-only identity, a way to its pixels) or a refusal goes out.

The header is read first and the pixels only on demand, so that an image the gate rejects never meets a decoder.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from device.config import LimitsConfig
from device.contract import Caveat, Exposure, Reason, Source
from device.dicom import (
    header,
    layout,
    part10,
    pixels,
    raster,
)
from device.dicom.attributes import FAULTS, texts
from device.dicom.codecs import CodecFault, FrameTooLarge
from device.dicom.header import HeaderFacts, Identity
from device.dicom.stored_bits import PixelFault
from device.preprocess.render import (
    AS_IS,
    Grey,
    Rendering,
    Window,
    preprocess,
)

__all__ = ["Identity", "ImageFile", "LoadedPixels", "Refused", "open_image_file", "read_grey"]

_UNREADABLE: tuple[type[Exception], ...] = (part10.NotDicom, PixelFault, CodecFault, *FAULTS)
_HEAD_BYTES = 4096


class Refused(Exception):
    """The image gets no further; `reason` says why, `detail` what exactly is wrong, without any text of the file."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPixels:
    """Stored values (rows, columns) and how they become grey; `caveats` that only the pixels show."""

    pixels: NDArray[Any]
    rendering: Rendering
    caveats: tuple[Caveat, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """An image whose header could be read. `load` decodes its pixels; it raises Refused and MemoryError."""

    exposure: Exposure
    identity: Identity
    facts: HeaderFacts
    load: Callable[[], LoadedPixels]


def read_grey(path: Path) -> Grey:
    """Grey values uint8 (224, 224) of a JPEG, PNG or DICOM file, as the box makes them; no gate.

    Raises Refused for what cannot be read.
    """
    loaded = open_image_file(path, LimitsConfig()).load()
    return preprocess(loaded.pixels, loaded.rendering)


def open_image_file(path: Path, limits: LimitsConfig) -> ImageFile:
    """Read the header. Raises Refused: too_large before anything is read, or unreadable."""
    data = _mapped(path, limits.max_file_bytes)
    head = data[:_HEAD_BYTES]
    try:
        if head[128:132] != b"DICM" and raster.is_raster(head):
            return _open_raster(data, limits)
        return _open_dicom(data, limits)
    except (MemoryError, part10.Bomb):
        raise Refused(Reason.TOO_LARGE) from None
    except _UNREADABLE:
        raise Refused(Reason.UNREADABLE) from None


def _mapped(path: Path, max_file_bytes: int) -> mmap.mmap:
    """The file's bytes without reading them. O_NONBLOCK, or a named pipe would block the caller."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        raise Refused(Reason.UNREADABLE) from None
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size == 0:
            raise Refused(Reason.UNREADABLE)
        if facts.st_size > max_file_bytes:
            raise Refused(Reason.TOO_LARGE)
        return mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
    except OSError:
        raise Refused(Reason.UNREADABLE) from None
    finally:
        os.close(handle)


def _open_raster(data: mmap.mmap, limits: LimitsConfig) -> ImageFile:
    try:
        size = raster.size_of(data)
    except raster.RasterFault:
        raise Refused(Reason.UNREADABLE) from None

    def load() -> LoadedPixels:
        if size.rows * size.columns > limits.max_pixels:
            raise Refused(Reason.TOO_LARGE)
        try:
            grey = raster.decode(data)
        except raster.RasterFault as fault:
            raise Refused(Reason.UNREADABLE, str(fault)) from None
        if grey.dtype == np.uint8:
            return LoadedPixels(pixels=grey, rendering=AS_IS)
        return LoadedPixels(pixels=grey, rendering=Rendering(), caveats=(Caveat.WINDOW_MISSING,))

    return ImageFile(
        exposure=empty_exposure(Source.FILE, rows=size.rows, columns=size.columns),
        identity=Identity(),
        facts=HeaderFacts(is_dicom=False, frames=size.frames),
        load=load,
    )


def empty_exposure(source: Source, *, rows: int | None = None, columns: int | None = None) -> Exposure:
    """The exposure of an image that says nothing of itself."""
    return Exposure(
        modality=None,
        body_part=None,
        view=None,
        age_years=None,
        sex=None,
        kvp=None,
        mas=None,
        acquired_at=None,
        rows=rows,
        columns=columns,
        transfer_syntax=None,
        source=source,
    )


def _open_dicom(data: mmap.mmap, limits: LimitsConfig) -> ImageFile:
    parsed = part10.parse(data, limits.max_file_bytes)
    if not len(parsed.dataset):
        raise Refused(Reason.UNREADABLE)
    where = pixels.find_element(
        parsed.data, parsed.pixels_at, implicit=parsed.implicit, little_endian=parsed.little_endian
    )
    if where is not None and where.vr:
        parsed = replace(parsed, implicit=False)
    form = layout.layout_of(parsed.dataset, little_endian=parsed.little_endian)
    exposure = header.exposure_of(parsed.dataset, parsed.meta, parsed.transfer_syntax)
    facts = header.facts_of(
        parsed.dataset,
        parsed.meta,
        exposure,
        has_pixels=where is not None,
        window_missing=form.monochrome and layout.stated_voi(parsed.dataset, form) is None,
        values_unclear=layout.has_unclear_values(parsed.dataset, form),
    )

    return ImageFile(
        exposure=exposure,
        identity=header.identity_of(parsed.dataset, parsed.meta),
        facts=replace(facts, complete=parsed.complete or where is not None),
        load=partial(_load, parsed, where, form, limits.max_pixels),
    )


def _load(parsed: part10.Parsed, where: pixels.Element | None, form: layout.Layout, max_pixels: int) -> LoadedPixels:
    if parsed.transfer_syntax not in pixels.SUPPORTED:
        raise Refused(Reason.UNSUPPORTED_TRANSFER_SYNTAX)
    if where is None or form.rows < 1 or form.columns < 1:
        raise Refused(Reason.UNREADABLE)
    if form.pixels > max_pixels:
        raise Refused(Reason.TOO_LARGE)
    if layout.has_unclear_values(parsed.dataset, form):
        raise Refused(Reason.HEADER_CONTRADICTORY, "how pixel values become grey cannot be understood")
    try:
        stored = pixels.stored_of(parsed.data, where, parsed.transfer_syntax, form, max_pixels)
        values = _brightness(stored.values, parsed.dataset, form)
    except (FrameTooLarge, MemoryError):
        raise Refused(Reason.TOO_LARGE) from None
    except (PixelFault, CodecFault) as fault:
        raise Refused(Reason.UNREADABLE, str(fault)) from None
    except FAULTS:
        raise Refused(Reason.UNREADABLE, "the pixels do not fit their description") from None
    return _loaded(values, stored, parsed.dataset, form)


def _loaded(values: NDArray[Any], stored: pixels.Stored, dataset: Dataset, form: layout.Layout) -> LoadedPixels:
    """Turned upright, with the rendering and what only the pixels show."""
    values, turned = pixels.upright(values, texts(dataset, "PatientOrientation"))
    rendering = layout.rendering_of(dataset, stored.layout)
    window_lost = _is_beyond(rendering, form, stored.layout)
    if window_lost:
        rendering = replace(rendering, voi=AS_IS.voi if stored.layout.stored_bits.bits_stored == 8 else None)
    noted = {
        Caveat.PIXEL_DATA_LENGTH: stored.odd_length,
        Caveat.ORIENTATION_UNCLEAR: turned,
        Caveat.VALUES_UNCLEAR: stored.swapped,
        Caveat.WINDOW_MISSING: window_lost,
    }
    caveats = tuple(caveat for caveat, holds in noted.items() if holds)
    return LoadedPixels(pixels=values, rendering=rendering, caveats=caveats)


def _is_beyond(rendering: Rendering, stated: layout.Layout, decoded: layout.Layout) -> bool:
    """Whether the window is meant for the bits that the header states, where the codestream has no more than eight.

    A picture of 8 bits under a header of 12 (fo-dicom.Codecs #75) would be near black.
    """
    window, bits = rendering.voi, decoded.stored_bits.bits_stored
    if not isinstance(window, Window) or bits > 8 or stated.stored_bits.bits_stored <= bits:
        return False
    top = rendering.slope * ((1 << bits) - 1) + rendering.intercept
    return window.center > top or window.width > 4 * max(1.0, abs(top))


def _brightness(values: NDArray[Any], dataset: Dataset, form: layout.Layout) -> NDArray[Any]:
    """One value per pixel. A palette comes first: its indices cannot be averaged."""
    if values.ndim == 3:
        return pixels.luma(values, form.photometric)
    if form.photometric.startswith("PALETTE"):
        table = layout.palette_luma(dataset, form)
        return np.asarray(table[np.minimum(values, len(table) - 1)])
    return values
