"""What is sent for a case: a DX object made of a phantom or a picture, or a file's own bytes, with its identifiers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from sim.modality.cases import PICTURE_SUFFIXES, Case, CaseType, Transport, identifiers_of
from sim.modality.dx import Acquisition, Identifiers, dx_bytes
from sim.phantom import FULL_SIZE, View, draw_spec, render

_VIEWS = {CaseType.LATERAL: View.LATERAL, CaseType.HAND: View.HAND}
_PICTURE_SIDE = 1536
THUMBNAIL_SIDE = 220
MINOR_YEARS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquiredImage:
    """Pixels ready for the modality: uint16 of 14 bits, (rows, columns), dense tissue is white."""

    pixels: NDArray[np.uint16]
    pixel_mm: float
    sex: str
    age_years: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """The bytes to send. `sop_class` and `transfer_syntax` are set for C-STORE; `sop_uid` is what the box will read."""

    data: bytes
    transport: Transport
    suffix: str
    sop_class: str | None
    transfer_syntax: str | None
    identifiers: Identifiers | None
    sop_uid: str | None
    content_sha256: str
    thumbnail: bytes | None


def acquire(case: Case) -> AcquiredImage | None:
    """Render the phantom at full size, or enlarge the picture to it; None: the file is sent as it is. Slow."""
    spec = draw_spec(case.seed, case.finding)
    if case.source is not None:
        picture = _read_picture(case.source) if case.transport is not Transport.FOLDER_AS_IS else None
        if picture is None:
            return None
        return AcquiredImage(pixels=_enlarged(picture), pixel_mm=0.14, sex=spec.sex, age_years=spec.age_years)
    image = render(spec, view=_VIEWS.get(case.case_type, View.PA), size=FULL_SIZE)
    age = MINOR_YEARS if case.case_type is CaseType.MINOR else spec.age_years
    return AcquiredImage(pixels=image.pixels, pixel_mm=image.pixel_mm, sex=spec.sex, age_years=age)


def _read_picture(path: Path) -> NDArray[np.uint8] | None:
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        return None
    picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
    return None if picture is None else np.asarray(picture, np.uint8)


def _scaled_size(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Return (width, height) with the longest side `side` pixels long."""
    scale = side / max(shape)
    return max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale))


def _enlarged(picture: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Return the picture with its longest side as long as the detector's, 14 bits."""
    size = _scaled_size(picture.shape, FULL_SIZE)
    large = cv2.resize(picture.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(large, 0, 255) * (16383 / 255) + 0.5, np.uint16)


def _grey(pixels: NDArray[np.uint16], side: int) -> NDArray[np.uint8]:
    """Return 14-bit pixels as 8-bit grey with the longest side `side` pixels long."""
    small = cv2.resize(pixels, _scaled_size(pixels.shape, side), interpolation=cv2.INTER_AREA)
    return np.asarray(small.astype(np.float32) * (255 / 16383) + 0.5, np.uint8)


def _thumbnail(pixels: NDArray[np.uint16]) -> bytes:
    grey = _grey(pixels, THUMBNAIL_SIDE)
    return bytes(cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes())


def make_payload(case: Case, image: AcquiredImage | None, run: str, clock: Callable[[], datetime]) -> Payload:
    """Return what is sent for this case, acquired now by `clock`."""
    if image is None:
        return _file_payload(case)
    thumbnail = _thumbnail(image.pixels)
    if case.transport in {Transport.FOLDER_JPEG, Transport.FOLDER_PNG}:
        suffix = ".jpg" if case.transport is Transport.FOLDER_JPEG else ".png"
        options = [cv2.IMWRITE_JPEG_QUALITY, 92] if suffix == ".jpg" else []
        data = cv2.imencode(suffix, _grey(image.pixels, _PICTURE_SIDE), options)[1].tobytes()
        return replace(_payload(data, case.transport, suffix), thumbnail=thumbnail)
    acquisition = _acquisition(case, image, run, clock())
    payload = _payload(dx_bytes(image.pixels, acquisition), case.transport, ".dcm")
    return replace(payload, identifiers=acquisition.identifiers, thumbnail=thumbnail)


def _acquisition(case: Case, image: AcquiredImage, run: str, at: datetime) -> Acquisition:
    chest = Acquisition(
        identifiers=identifiers_of(case, run),
        acquired_at=at,
        sex=image.sex,
        age_years=image.age_years,
        pixel_mm=image.pixel_mm,
        time_ms=6.0 + case.seed % 7,
        for_processing=case.case_type is CaseType.FOR_PROCESSING,
    )
    if case.case_type is CaseType.LATERAL:
        return replace(chest, view="LL", description="Chest lateral")
    if case.case_type is CaseType.HAND:
        return replace(chest, view="AP", body_part="HAND", description="Hand")
    return chest


def _file_payload(case: Case) -> Payload:
    """Return a file's own bytes. A file that lacks what C-STORE needs can only be sent through the folder."""
    if case.source is None:
        raise ValueError(f"{case.case_id}: neither pixels nor a file")
    # The box takes some suffixes as the sign of an unfinished file.
    suffix = case.source.suffix if case.source.suffix.lower() in {".dcm", *PICTURE_SUFFIXES} else ""
    payload = _payload(case.source.read_bytes(), case.transport, suffix)
    can_be_stored = payload.sop_class and payload.sop_uid and payload.transfer_syntax
    if case.transport is Transport.C_STORE and not can_be_stored:
        payload = replace(payload, transport=Transport.FOLDER_AS_IS)
    picture = _read_picture(case.source)
    return payload if picture is None else replace(payload, thumbnail=_thumbnail(_enlarged(picture)))


def _payload(data: bytes, transport: Transport, suffix: str) -> Payload:
    sop_class = sop_uid = syntax = None
    if data[128:132] == b"DICM":
        sop_class, sop_uid, syntax = _read_header(data)
    return Payload(
        data=data,
        transport=transport,
        suffix=suffix,
        sop_class=sop_class,
        transfer_syntax=syntax,
        identifiers=None,
        sop_uid=sop_uid,
        content_sha256=hashlib.sha256(data).hexdigest(),
        thumbnail=None,
    )


def _read_header(data: bytes) -> tuple[str | None, str | None, str | None]:
    """Return SOP class, SOP instance UID and transfer syntax, None where the file does not give them."""
    try:
        header = dcmread(BytesIO(data), specific_tags=["SOPClassUID", "SOPInstanceUID"], stop_before_pixels=True)
        meta = header.file_meta
        values = (header.get("SOPClassUID"), header.get("SOPInstanceUID"), meta.get("TransferSyntaxUID"))
    except (InvalidDicomError, ValueError, TypeError, KeyError, AttributeError, OSError, EOFError, NotImplementedError):
        return None, None, None
    return values[0] or None, values[1] or None, values[2] or None
