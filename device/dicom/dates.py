"""Dates: a DICOM header comes in; the patient's age and the time of the exposure go out."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, time, timedelta, timezone

from pydicom.dataset import Dataset

from device.dicom.attributes import text, texts

OLDEST_YEARS = 120
"""Above, an age is a typing error or a placeholder."""
_UNFILLED_AGE = re.compile(r"0+\s*[DWMY]?|9+\s*[DWMY]?|UNKNOWN|N/?A|NONE|-*")
_UNFILLED_DATE = re.compile(r"(0000|0001|1111|9999|1900(?=01-?01|0000|$)).*|UNKNOWN|N/?A|NONE|-*", re.IGNORECASE)
"""What systems write for an age or a date that nobody filled in."""
_CLOCK_DAYS = 31
"""A study may go on for days. Further apart, a clock is wrong or an old image was scanned: the earlier day counts."""
_LAST_RESET_YEAR = 2010
"""A clock that lost its battery begins again with January of such a year: then the day of the study counts."""


def age_of(header: Dataset) -> int | None:
    """Whole years: Patient Age, or else from the birth date to the day of the exposure.

    Where both disagree by more than a year the younger holds, so that no child is classified as an adult. An age of 0,
    which systems write for an age they do not know, gives way to the birth date.
    """
    stated = _age_stated(header)
    computed = _age_computed(header, stated)
    if stated is None or computed is None:
        return computed if stated is None else stated
    if abs(stated - computed) <= 1:
        return stated
    unfilled = _UNFILLED_AGE.fullmatch(text(header, "PatientAge").upper())
    return computed if unfilled else min(stated, computed)


def has_unclear_age(header: Dataset) -> bool:
    """Whether an age or a birth date stands there that cannot be understood; placeholders are no values."""
    stated, born = text(header, "PatientAge").upper(), text(header, "PatientBirthDate")
    unclear_age = not _UNFILLED_AGE.fullmatch(stated) and _age_stated(header) is None
    unclear_birth = not _UNFILLED_DATE.fullmatch(born) and _birth_date(born) is None
    dated = any(_day(text(header, keyword)) for keyword in _DAYS)
    impossible = dated and _birth_date(born) is not None and _age_computed(header) is None
    return unclear_age or unclear_birth or impossible


def _age_computed(header: Dataset, stated: int | None = None) -> int | None:
    born = _birth_date(text(header, "PatientBirthDate"))
    taken = next((day for keyword in _DAYS if (day := _day(text(header, keyword)))), None)
    if born is None or taken is None:
        return None
    study = _day(text(header, "StudyDate")) or taken
    at_study = _years(born, study)
    if abs((taken - study).days) > _CLOCK_DAYS and at_study is not None:
        agrees = stated is not None and abs(stated - at_study) <= 1
        was_reset = taken.month == 1 and taken.year <= _LAST_RESET_YEAR
        taken = study if agrees or was_reset else min(taken, study)
    return _years(born, taken)


def _years(born: date, day: date) -> int | None:
    if born.year == day.year:
        return 0
    return _plausible(day.year - born.year - ((day.month, day.day) < (born.month, born.day)))


def _birth_date(written: str) -> date | None:
    return None if _UNFILLED_DATE.fullmatch(written) else _day(written) or _latest_day(written)


_DAYS = ("AcquisitionDate", "AcquisitionDateTime", "ContentDate", "SeriesDate", "StudyDate")
_UNITS = {
    **dict.fromkeys(("D", "DAY", "DAYS", "일", "日", "天"), 365.2425),
    **dict.fromkeys(("W", "WK", "WKS", "WEEK", "WEEKS", "주", "周", "週"), 52.1775),
    **dict.fromkeys(("M", "MO", "MOS", "MTH", "MONTH", "MONTHS", "개월", "月", "个月", "個月", "ヶ月", "か月"), 12.0),
    **dict.fromkeys(("", "Y", "YR", "YRS", "YEAR", "YEARS", "YO", "Y/O", "세", "살", "岁", "歲", "歳", "才"), 1.0),
    **dict.fromkeys(("ANS", "ANNI", "ANOS", "AÑOS", "JAHRE", "J"), 1.0),
}
"""Units of age, to how many make a year."""
_UNIT_NAMES = "|".join(sorted((re.escape(unit) for unit in _UNITS if unit), key=len, reverse=True))
_AGE_PART = re.compile(rf"(\d{{1,4}})(?:[.,](\d{{1,3}}))?\s*({_UNIT_NAMES}|)\.?(?=\W|\d|$)\s*")
_UNIT_FIRST = re.compile(r"([DWMY])\s*(\d{1,4})")


def _age_stated(header: Dataset) -> int | None:
    """AS (045Y, 006M, 003W, 010D) and what people write instead: 45, 45.0, 12YR, 12Y6M, Y012, 12세.

    Of several values the least.
    """
    values = [unicodedata.normalize("NFKC", value).upper().strip() for value in texts(header, "PatientAge")]
    ages = [_age_in(value) for value in values if value]
    return None if None in ages else min((age for age in ages if age is not None), default=None)


def _age_in(value: str) -> int | None:
    value = re.sub(r"\s*(OLD|AGE)\s*", "", value)
    if match := _UNIT_FIRST.fullmatch(value):
        value = match[2] + match[1]
    years, at = 0.0, 0
    while at < len(value):
        part = _AGE_PART.match(value, at)
        if part is None:
            return None
        years += float(f"{part[1]}.{part[2] or 0}") / _UNITS[part[3]]
        at = part.end()
    return _plausible(int(years)) if value else None


def _plausible(years: int) -> int | None:
    return years if 0 <= years <= OLDEST_YEARS else None


def _day(text_value: str) -> date | None:
    match = re.match(r"((?:19|20)\d{2})[-./]?(\d{2})[-./]?(\d{2})", text_value)
    try:
        return date(int(match[1]), int(match[2]), int(match[3])) if match else None
    except ValueError:
        return None


def _latest_day(text_value: str) -> date | None:
    """The last day of the year, of a date that is not whole or written otherwise.

    `2010`, `201001`, `20100000` (legal on German insurance cards), `20100500`, `01.05.2010`.
    """
    match = re.fullmatch(
        r"(\d{4})(?:\d{2}|00\d{2}|\d{2}00)?|(\d{4})[-./]\d{1,2}(?:[-./]\d{1,2})?|\d{1,2}[-./]\d{1,2}[-./](\d{4})",
        text_value,
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
    text_value = re.sub(r"^(\d):", r"0\1:", text_value)
    match = re.match(r"(\d{2}):?(\d{2})(?::?(\d{2}))?(?:\.(\d{1,6}))?", text_value)
    try:
        if match is None:
            return None
        return time(int(match[1]), int(match[2]), min(59, int(match[3] or 0)), int((match[4] or "0").ljust(6, "0")))
    except ValueError:
        return None


def _in_utc(local: datetime, times: str, offset: str) -> datetime | None:
    match = re.search(r"([+-])(\d{2}):?(\d{2})$", times) or re.fullmatch(r"([+-])(\d{1,2}):?(\d{2})", offset)
    try:
        if match is not None:
            shift = timedelta(hours=int(match[2]), minutes=int(match[3])) * (-1 if match[1] == "-" else 1)
            local = local.replace(tzinfo=timezone(shift))
        return local.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
