"""Films: a case comes in; what is sent goes out, a DX object made now or a file's own bytes, with its identifiers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from sim.modality.cases import (
    PICTURE_SUFFIXES,
    Case,
    Kind,
    Way,
    ids_of,
)
from sim.modality.dx import Ids, Shot, dx_bytes
from sim.phantom import FULL_SIZE, View, draw_spec, render

_VIEWS = {Kind.LATERAL: View.LATERAL, Kind.HAND: View.HAND}
_PICTURE_SIDE = 1536
THUMB_SIDE = 220
MINOR_YEARS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """Pixels ready for the modality: uint16 of 14 bits (rows, columns), dense is white."""

    pixels: NDArray[np.uint16]
    pixel_mm: float
    sex: str
    age_years: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What travels. `sop_class` and `transfer_syntax` are set for C-STORE; identifiers are those the box will read."""

    data: bytes
    way: Way
    suffix: str
    sop_class: str | None
    transfer_syntax: str | None
    ids: Ids | None
    sop_uid: str | None
    content_sha256: str
    thumbnail: bytes | None


def expose(case: Case) -> Exposed | None:
    """The costly part: a phantom's film at full size, or a picture enlarged to it. None: the file travels as it is."""
    spec = draw_spec(case.seed, case.finding)
    if case.source is not None:
        picture = _picture(case.source) if case.way is not Way.FOLDER_AS_IS else None
        if picture is None:
            return None
        return Exposed(pixels=_enlarged(picture), pixel_mm=0.14, sex=spec.sex, age_years=spec.age_years)
    film = render(spec, view=_VIEWS.get(case.kind, View.PA), size=FULL_SIZE)
    age = MINOR_YEARS if case.kind is Kind.MINOR else spec.age_years
    return Exposed(pixels=film.pixels, pixel_mm=film.pixel_mm, sex=spec.sex, age_years=age)


def _picture(path: Path) -> NDArray[np.uint8] | None:
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        return None
    found = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
    return None if found is None else np.asarray(found, np.uint8)


def _enlarged(picture: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """The longest side as long as the detector's, 14 bits."""
    scale = FULL_SIZE / max(picture.shape)
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    wide = cv2.resize(picture.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(wide, 0, 255) * (16383 / 255) + 0.5, np.uint16)


def pack(case: Case, exposed: Exposed | None, run: str, clock: Callable[[], datetime]) -> Parcel:
    """What is sent for this case, its time being now."""
    if exposed is None:
        return _as_it_is(case)
    thumbnail = _thumbnail(exposed.pixels)
    if case.way in {Way.FOLDER_JPEG, Way.FOLDER_PNG}:
        return _as_picture(case, exposed, thumbnail)
    shot = _shot(case, exposed, run, clock())
    data = dx_bytes(exposed.pixels, shot)
    return replace(_described(data, case.way, ".dcm"), ids=shot.ids, thumbnail=thumbnail)


def _shot(case: Case, exposed: Exposed, run: str, at: datetime) -> Shot:
    plain = Shot(
        ids=ids_of(case, run),
        acquired_at=at,
        sex=exposed.sex,
        age_years=exposed.age_years,
        pixel_mm=exposed.pixel_mm,
        time_ms=6.0 + case.seed % 7,
        for_processing=case.kind is Kind.FOR_PROCESSING,
    )
    if case.kind is Kind.LATERAL:
        return replace(plain, view="LL", description="Chest lateral")
    if case.kind is Kind.HAND:
        return replace(plain, view="AP", body_part="HAND", description="Hand")
    return plain


def _as_picture(case: Case, exposed: Exposed, thumbnail: bytes | None) -> Parcel:
    suffix = ".jpg" if case.way is Way.FOLDER_JPEG else ".png"
    grey = _grey(exposed.pixels, _PICTURE_SIDE)
    data = cv2.imencode(suffix, grey, [cv2.IMWRITE_JPEG_QUALITY, 92] if suffix == ".jpg" else [])[1].tobytes()
    return replace(_described(data, case.way, suffix), thumbnail=thumbnail)


def _as_it_is(case: Case) -> Parcel:
    """A file of one's own. Without what C-STORE needs it can only go by the folder."""
    if case.source is None:
        raise ValueError(f"{case.case_id}: neither pixels nor a file")
    data = case.source.read_bytes()
    # Some endings mean to the box that a file is not finished yet.
    suffix = case.source.suffix if case.source.suffix.lower() in {".dcm", *PICTURE_SUFFIXES} else ""
    parcel = _described(data, case.way, suffix)
    if case.way is Way.C_STORE and not (parcel.sop_class and parcel.sop_uid and parcel.transfer_syntax):
        parcel = replace(parcel, way=Way.FOLDER_AS_IS)
    picture = _picture(case.source)
    return parcel if picture is None else replace(parcel, thumbnail=_thumbnail(_enlarged(picture)))


def _described(data: bytes, way: Way, suffix: str) -> Parcel:
    sop_class = sop_uid = syntax = None
    if data[128:132] == b"DICM":
        sop_class, sop_uid, syntax = _header(data)
    digest = hashlib.sha256(data).hexdigest()
    return Parcel(
        data=data, way=way, suffix=suffix, sop_class=sop_class, transfer_syntax=syntax, ids=None, sop_uid=sop_uid,
        content_sha256=digest, thumbnail=None,
    )  # fmt: skip


def _header(data: bytes) -> tuple[str | None, str | None, str | None]:
    from io import BytesIO  # noqa: PLC0415

    try:
        header = dcmread(BytesIO(data), specific_tags=["SOPClassUID", "SOPInstanceUID"], stop_before_pixels=True)
        meta = header.file_meta
        values = (header.get("SOPClassUID"), header.get("SOPInstanceUID"), meta.get("TransferSyntaxUID"))
    except (InvalidDicomError, ValueError, TypeError, KeyError, AttributeError, OSError, EOFError, NotImplementedError):
        return None, None, None
    return values[0] or None, values[1] or None, values[2] or None


def _grey(pixels: NDArray[np.uint16], side: int) -> NDArray[np.uint8]:
    scale = side / max(pixels.shape)
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small.astype(np.float32) * (255 / 16383) + 0.5, np.uint8)


def _thumbnail(pixels: NDArray[np.uint16]) -> bytes:
    grey = _grey(pixels, THUMB_SIDE)
    return bytes(cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes())
