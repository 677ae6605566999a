"""Format names, times, durations and probabilities for the page. Pure."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta

from device.contract import Thresholds

MAX_CHARACTERS = 80


def tidy(text: str | None) -> str:
    """Return one line without control characters, which could reorder or hide the text beside them."""
    kept = "".join(" " if c.isspace() else c for c in text or "" if c.isspace() or unicodedata.category(c)[0] != "C")
    line = " ".join(kept.split())
    return line if len(line) <= MAX_CHARACTERS else line[: MAX_CHARACTERS - 1] + "…"


def person(name: str | None) -> str:
    """Return a DICOM person name (PS3.5 6.2.1): `DOE^JANE^M` becomes `DOE, Jane M`; other scripts are in brackets."""
    alphabetic, *others = [_group(group) for group in (name or "").split("=")]
    beside = next((other for other in others if other), "")
    if not alphabetic:
        return tidy(beside)
    return tidy(f"{alphabetic} ({beside})" if beside else alphabetic)


def _group(group: str) -> str:
    family, given, middle, prefix, suffix = [tidy(part) for part in (group.split("^") + [""] * 5)[:5]]
    # The family name keeps its capitals, so a reader sees at once which part is which.
    first_names = " ".join(
        part.title() if part.isascii() and part.isupper() and len(part) > 1 else part
        for part in (prefix, given, middle, suffix)
        if part
    )
    return ", ".join(part for part in (family, first_names) if part)


def span(length: timedelta) -> str:
    """Return a duration in at most two units."""
    total_s = max(0, int(length.total_seconds()))
    days, hours, minutes, seconds = total_s // 86400, total_s // 3600 % 24, total_s // 60 % 60, total_s % 60
    if days >= 2:
        return f"{days} days"
    if total_s >= 3600:
        return f"{days * 24 + hours} h {minutes:02d} min"
    if total_s >= 600:
        return f"{minutes} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def clock(time: datetime, now: datetime) -> str:
    """Return the box's local time, with the date if it is not today."""
    local, today = _local(time), _local(now).date()
    return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%Y-%m-%d %H:%M:%S}"


def _local(time: datetime) -> datetime:
    try:
        return time.astimezone()
    except OverflowError:
        # An exposure may say that it was taken in the year 1.
        return time


def percent(probability: float, thresholds: Thresholds) -> str:
    """Return per cent, with as many digits as it takes to stay on the right side of both thresholds."""
    # 0.55 * 100 is 55.00000000000001.
    marks = [(mark, round(mark * 100, 6)) for mark in (thresholds.clear_below, thresholds.flag_at)]
    for digits in (0, 1, 2, 3):
        shown = round(probability * 100, digits)
        if all((probability >= mark) == (shown >= mark_percent) for mark, mark_percent in marks):
            break
    if shown in (0, 100) and 0 < probability < 1:
        return "< 1 %" if shown == 0 else "> 99 %"
    return f"{probability * 100:.{digits}f} %"
