"""Moments: a DICOM header comes in; the patient's age and the time of the exposure go out."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone

from pydicom.dataset import Dataset

from device.dicom.attributes import text

OLDEST_YEARS = 120
"""Above, an age is a typing error or a placeholder."""
PLACEHOLDER_BIRTH = "19000101"
"""What systems write for a date they do not know."""


def age_of(header: Dataset) -> int | None:
    """Whole years: Patient Age, or else from the birth date to the day of the exposure.

    Where both disagree by more than a year the younger holds, so that no child is classified as an adult. An age of 0
    years, which systems write for an age they do not know, gives way to the birth date.
    """
    written = text(header, "PatientAge")
    stated, computed = _age_stated(written), _age_computed(header)
    if stated is None or computed is None:
        return computed if stated is None else stated
    if abs(stated - computed) <= 1:
        return stated
    return computed if re.fullmatch(r"0+\s*Y?", written.upper()) else min(stated, computed)


def _age_computed(header: Dataset) -> int | None:
    written = text(header, "PatientBirthDate")
    born = None if written.startswith(PLACEHOLDER_BIRTH) else _day(written) or _latest_day(written)
    days = (_day(text(header, keyword)) for keyword in _DAYS)
    taken = next((day for day in days if day), None)
    if born is None or taken is None:
        return None
    if born.year == taken.year:
        return 0
    return _plausible(taken.year - born.year - ((taken.month, taken.day) < (born.month, born.day)))


_DAYS = ("AcquisitionDate", "AcquisitionDateTime", "ContentDate", "SeriesDate", "StudyDate")


def _age_stated(text_value: str) -> int | None:
    """AS: 045Y, 006M, 003W, 010D. Many write the years alone."""
    match = re.fullmatch(r"(\d{1,4})\s*([DWMY]?)", text_value.upper())
    if match is None:
        return None
    per_year = {"D": 365.2425, "W": 52.1775, "M": 12.0}.get(match[2], 1.0)
    return _plausible(int(int(match[1]) / per_year))


def _plausible(years: int) -> int | None:
    return years if 0 <= years <= OLDEST_YEARS else None


def _day(text_value: str) -> date | None:
    match = re.match(r"((?:19|20)\d{2})[-./]?(\d{2})[-./]?(\d{2})", text_value)
    try:
        return date(int(match[1]), int(match[2]), int(match[3])) if match else None
    except ValueError:
        return None


def _latest_day(text_value: str) -> date | None:
    """The last day of the year, of a date that is not whole or written otherwise: `2010`, `201001`, `01.05.2010`."""
    match = re.fullmatch(
        r"(\d{4})(?:\d{2})?|(\d{4})[-./]\d{1,2}(?:[-./]\d{1,2})?|\d{1,2}[-./]\d{1,2}[-./](\d{4})", text_value
    )
    year = int(next(filter(None, match.groups()))) if match else 0
    return date(year, 12, 31) if 1900 < year < 2100 else None


def acquired_at(header: Dataset) -> datetime | None:
    """When the exposure was made, in UTC; without an offset the header's time is the box's local time."""
    whole = text(header, "AcquisitionDateTime")
    parts = ("Acquisition", "Content", "Series", "Study")
    pairs = [(text(header, f"{part}Date"), text(header, f"{part}Time")) for part in parts]
    for days, times in [(whole[:8], whole[8:]), *pairs]:
        day, local = _day(days), _time(times)
        if day is not None and local is not None:
            return _in_utc(datetime.combine(day, local), times, text(header, "TimezoneOffsetFromUTC"))
    return None


def _time(text_value: str) -> time | None:
    match = re.match(r"(\d{2}):?(\d{2})(?::?(\d{2}))?(?:\.(\d{1,6}))?", text_value)
    try:
        if match is None:
            return None
        return time(int(match[1]), int(match[2]), min(59, int(match[3] or 0)), int((match[4] or "0").ljust(6, "0")))
    except ValueError:
        return None


def _in_utc(local: datetime, times: str, offset: str) -> datetime | None:
    match = re.search(r"([+-])(\d{2})(\d{2})$", times) or re.fullmatch(r"([+-])(\d{2})(\d{2})", offset)
    try:
        if match is not None:
            shift = timedelta(hours=int(match[2]), minutes=int(match[3])) * (-1 if match[1] == "-" else 1)
            local = local.replace(tzinfo=timezone(shift))
        return local.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
