"""The text of one exposure on the board. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from device.board.entry import BoardExposure
from device.board.formatting import (
    clock,
    percent,
    person,
    span,
    tidy,
)
from device.board.labels import (
    CAVEAT_LABELS,
    COULD_NOT,
    FLAG_LABELS,
    REASON_LABELS,
    Label,
)
from device.config import BoardConfig
from device.contract import Flag, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """A probability beside the thresholds in force."""

    text: str
    probability: float
    flag_at: float
    clear_below: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The text shown for one exposure. `marks` are warnings about time, `caveats` about the exposure itself."""

    key: str
    flag: Flag
    head: str
    text: str
    advice: str
    name: str
    patient_id: str
    accession: str
    summary: str
    taken_word: str
    taken_at: datetime
    taken: str
    decided: str
    marks: tuple[str, ...]
    caveats: tuple[str, ...]
    gauge: Gauge | None
    clock_trusted: bool
    has_thumbnail: bool
    has_evidence: bool

    @property
    def announcement(self) -> str:
        """One sentence for a screen reader."""
        probability = f", probability {self.gauge.text}" if self.gauge else f": {self.text}"
        return f"{self.head}{probability} {self.name or 'No name'}, {self.taken_word} {self.taken}."


def make_row(exposure: BoardExposure, now: datetime, config: BoardConfig) -> Row:
    """Return the row of one exposure as it reads at `now`."""
    entry, result = exposure.entry, exposure.result
    label = _label(result)
    return Row(
        key=result.result_id,
        flag=result.flag,
        head=FLAG_LABELS[result.flag].head,
        text=label.head if result.flag is Flag.UNCLASSIFIED else label.text,
        advice=label.text if result.flag is Flag.UNCLASSIFIED else "",
        name=person(entry.patient_name),
        patient_id=tidy(entry.patient_id),
        accession=tidy(entry.accession),
        summary=_attributes(result),
        taken_word=exposure.time_label,
        taken_at=exposure.taken_at,
        taken=clock(exposure.taken_at, now),
        decided=clock(entry.decided_at, now),
        marks=tuple(_marks(exposure, now, config)),
        caveats=tuple(CAVEAT_LABELS[caveat] for caveat in result.gate.caveats),
        gauge=_gauge(result),
        clock_trusted=result.clock.trusted,
        has_thumbnail=entry.thumbnail is not None,
        has_evidence=entry.evidence is not None and result.flag is not Flag.UNCLASSIFIED,
    )


def _label(result: Result) -> Label:
    if result.flag is not Flag.UNCLASSIFIED:
        return FLAG_LABELS[result.flag]
    return REASON_LABELS[result.gate.reason] if result.gate.reason else COULD_NOT


def _attributes(result: Result) -> str:
    exposure = result.exposure
    age = "" if exposure.age_years is None else f"{exposure.age_years} y"
    return " · ".join(part for part in (tidy(exposure.view), age, tidy(exposure.sex)) if part)


def _gauge(result: Result) -> Gauge | None:
    if result.probability is None:
        return None
    limits = result.thresholds
    return Gauge(
        text=percent(result.probability, limits),
        probability=result.probability,
        flag_at=limits.flag_at,
        clear_below=limits.clear_below,
    )


def _marks(exposure: BoardExposure, now: datetime, config: BoardConfig) -> list[str]:
    entry, marks = exposure.entry, []
    after = entry.decided_at - exposure.taken_at
    if after > timedelta(seconds=config.late_after_s):
        since = "the exposure" if exposure.own_time else "it was received"
        marks.append(f"Late: classified {span(after)} after {since}")
    if entry.acquired_at is not None and not exposure.own_time:
        marks.append(f"Clocks disagree: the exposure is dated {clock(entry.acquired_at, now)}")
    if entry.resent_at is not None:
        marks.append(f"Sent again {clock(entry.resent_at, now)}: the first flag stands")
    return marks
