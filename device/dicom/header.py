"""Header: a parsed DICOM header comes in; the exposure, the box-only identity and the gate's facts go out.

Every attribute may be missing, doubled or nonsense: then it counts as not said. Free text never goes into an exposure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.dataset import Dataset

from device.contract import Exposure, Message, Source
from device.dicom import vocabulary
from device.dicom.attributes import integer, items, number, text, texts
from device.dicom.dates import acquired_at, age_of, has_unclear_age

MAX_COUNT = 65535
"""Rows and Columns are 16-bit values (VR US); more comes from a header of another type."""
FOR_PROCESSING_CLASS = "1.2.840.10008.5.1.4.1.1.1.1.1"
_MODALITY_OF_CLASS = {
    "1": "CR",
    "1.1": "DX",
    "1.1.1": "DX",
    "1.2": "MG",
    "1.3": "IO",
    "2": "CT",
    "3": "US",
    "4": "MR",
    "6": "US",
    "7": "",
    "104": "",
    "12.1": "XA",
    "12.2": "RF",
    "20": "NM",
    "128": "PT",
}
"""SOP classes below the storage root (PS3.4 B.5); secondary captures and enclosed documents imply nothing."""
_STORAGE_ROOT = "1.2.840.10008.5.1.4.1.1."


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity(Message):
    """Patient and study of an exposure. Box only: none of it leaves the box but as a keyed hash."""

    patient_name: str | None = None
    patient_id: str | None = None
    accession: str | None = None
    study_uid: str | None = None
    sop_uid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderFacts:
    """What the gate needs to know of a header.

    `modalities`: the stated one and the one the SOP class implies, without those that are missing; empty for an image
    without DICOM. `body_part` is a fixed term of `vocabulary`; `frames` is 1 for a plain radiograph; `complete` is
    false when the file ends within its header. Unclear is a value that is there and cannot be understood; values are
    unclear when it is not known how they become grey.
    """

    is_dicom: bool
    modalities: tuple[str, ...] = ()
    has_pixels: bool = True
    for_processing: bool = False
    body_part: str | None = None
    view: vocabulary.View | None = None
    age_years: int | None = None
    frames: int = 1
    window_missing: bool = False
    complete: bool = True
    view_unclear: bool = False
    view_contradictory: bool = False
    body_part_contradictory: bool = False
    age_unclear: bool = False
    values_unclear: bool = False


def identity_of(header: Dataset, meta: Dataset) -> Identity:
    """Names and numbers as the header has them."""
    return Identity(
        patient_name=text(header, "PatientName") or None,
        patient_id=text(header, "PatientID") or None,
        accession=text(header, "AccessionNumber") or None,
        study_uid=text(header, "StudyInstanceUID") or None,
        sop_uid=text(header, "SOPInstanceUID") or text(meta, "MediaStorageSOPInstanceUID") or None,
    )


def exposure_of(header: Dataset, meta: Dataset, transfer_syntax: str) -> Exposure:
    """The exposure's attributes, in fixed terms and numbers."""
    view = view_of(header)
    sex = text(header, "PatientSex").upper()
    return Exposure(
        modality=next(iter(modalities_of(header, meta)), None),
        body_part=body_part_of(header),
        view=None if view is None else view.value,
        age_years=age_of(header),
        sex=sex if sex in {"M", "F", "O"} else None,
        kvp=_positive(number(header, "KVP")),
        mas=_mas(header),
        acquired_at=acquired_at(header),
        rows=_count(integer(header, "Rows")),
        columns=_count(integer(header, "Columns")),
        transfer_syntax=transfer_syntax if re.fullmatch(r"[0-9.]{1,64}", transfer_syntax) else None,
        source=Source.DICOM,
    )


def facts_of(
    header: Dataset, meta: Dataset, exposure: Exposure, *, has_pixels: bool, window_missing: bool, values_unclear: bool
) -> HeaderFacts:
    """What the gate decides on."""
    intent = text(header, "PresentationIntentType").upper()
    return HeaderFacts(
        is_dicom=True,
        modalities=modalities_of(header, meta),
        has_pixels=has_pixels,
        for_processing=intent == "FOR PROCESSING" or _sop_class(header, meta) == FOR_PROCESSING_CLASS,
        body_part=exposure.body_part,
        view=None if exposure.view is None else vocabulary.View(exposure.view),
        age_years=exposure.age_years,
        frames=max(1, integer(header, "NumberOfFrames") or 1),
        window_missing=window_missing and has_pixels,
        view_unclear=has_unclear_view(header),
        view_contradictory=has_contradictory_view(header),
        body_part_contradictory=has_contradictory_body_part(header),
        age_unclear=has_unclear_age(header),
        values_unclear=values_unclear and has_pixels,
    )


def modalities_of(header: Dataset, meta: Dataset) -> tuple[str, ...]:
    """The stated modality, then the one that the SOP class implies; without those that are silent."""
    stated = text(header, "Modality").upper()
    stated = stated if re.fullmatch(r"[A-Z]{2,12}", stated) else ("OTHER" if stated else "")
    return tuple(modality for modality in (stated, _implied_modality(_sop_class(header, meta))) if modality)


def _sop_class(header: Dataset, meta: Dataset) -> str:
    return text(header, "SOPClassUID") or text(meta, "MediaStorageSOPClassUID")


def _implied_modality(sop_class: str) -> str:
    if not sop_class.startswith(_STORAGE_ROOT):
        return ""
    branch = sop_class.removeprefix(_STORAGE_ROOT)
    while branch:
        if branch in _MODALITY_OF_CLASS:
            return _MODALITY_OF_CLASS[branch]
        branch = branch.rpartition(".")[0]
    return "OTHER"


def body_part_of(header: Dataset) -> str | None:
    """By Body Part Examined, Anatomic Region Sequence, then the words of the descriptions."""
    stated = vocabulary.body_part_stated(text(header, "BodyPartExamined"))
    if stated is not None:
        return stated
    for code, meaning in _concepts(header, "AnatomicRegionSequence"):
        if part := vocabulary.body_part_of_code(code, meaning):
            return part
    descriptions = (*_DESCRIPTIONS, "PerformedProcedureStepDescription", "StudyDescription")
    named = (vocabulary.body_part_in(text(header, keyword)) for keyword in descriptions)
    return next((part for part in named if part), None)


_STEP = ("PerformedProcedureStepDescription", "AcquisitionDeviceProcessingCode")
_DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")


def view_of(header: Dataset) -> vocabulary.View | None:
    """By View Position, View Code Sequence, Patient Orientation, then the words of the descriptions.

    The study's description is left out: a study has images of several views. So may a step: it only speaks last.
    """
    if view := vocabulary.view_stated(text(header, "ViewPosition")):
        return view
    for code, meaning in _concepts(header, "ViewCodeSequence"):
        if view := vocabulary.view_of_code(code, meaning):
            return view
    if view := vocabulary.view_of_orientation(texts(header, "PatientOrientation")):
        return view
    named = (vocabulary.view_in(text(header, keyword)) for keyword in (*_DESCRIPTIONS, *_STEP))
    return next((view for view in named if view), None)


def has_unclear_view(header: Dataset) -> bool:
    """Whether View Position says something that is no view."""
    stated = text(header, "ViewPosition")
    return vocabulary.view_stated(stated) is None and not vocabulary.is_silent_on_view(stated)


def has_contradictory_view(header: Dataset) -> bool:
    """Whether one source names a frontal view and another one that is not."""
    views = [vocabulary.view_stated(text(header, "ViewPosition"))]
    views += [vocabulary.view_of_code(code, meaning) for code, meaning in _concepts(header, "ViewCodeSequence")]
    views += [vocabulary.view_of_orientation(texts(header, "PatientOrientation"))]
    views += [vocabulary.view_in(text(header, keyword)) for keyword in _DESCRIPTIONS]
    return len({view.frontal for view in views if view}) > 1


def has_contradictory_body_part(header: Dataset) -> bool:
    """Whether the stated chest stands beside a code or a description of another part alone."""
    if body_part_of(header) != vocabulary.CHEST:
        return False
    coded = {
        vocabulary.body_part_of_code(code, meaning) for code, meaning in _concepts(header, "AnatomicRegionSequence")
    }
    described = {vocabulary.body_part_in(text(header, keyword)) for keyword in ("SeriesDescription", "ProtocolName")}
    others = coded - {None, vocabulary.CHEST} | described - {None, vocabulary.CHEST, *vocabulary.BESIDE_CHEST}
    return bool(others)


def _concepts(header: Dataset, keyword: str) -> Iterable[tuple[str, str]]:
    """Code and meaning of each item, the meanings of its modifiers added."""
    for item in items(header, keyword):
        modifiers = (text(m, "CodeMeaning") for m in items(item, "ViewModifierCodeSequence"))
        yield text(item, "CodeValue"), " ".join([text(item, "CodeMeaning"), *modifiers]).strip()


def _mas(header: Dataset) -> float | None:
    """Exposure in mAs, from whichever attribute says it."""
    micro = _positive(number(header, "ExposureInuAs"))
    if micro is not None:
        return micro / 1000.0
    stated = _positive(number(header, "Exposure"))
    current, duration = number(header, "XRayTubeCurrent"), number(header, "ExposureTime")
    if stated is None and current is not None and duration is not None:
        return _positive(current * duration / 1000.0)
    return stated


def _positive(value: float | None) -> float | None:
    return value if value is not None and 0 < value < math.inf else None


def _count(value: int | None) -> int | None:
    return value if value is not None and 0 <= value <= MAX_COUNT else None
