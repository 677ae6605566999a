"""Rows: one history entry and the time come in; one line of the board, all of it text, goes out. Pure."""

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
    CAVEAT_WORDS,
    COULD_NOT,
    FLAG_WORDS,
    REASON_WORDS,
    Words,
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
    """What is shown of one film. `marks` are warnings about time, `caveats` about the film itself."""

    key: str
    flag: Flag
    head: str
    text: str
    advice: str
    name: str
    patient_id: str
    accession: str
    film: str
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
    def say(self) -> str:
        """One sentence for a screen reader."""
        probability = f", probability {self.gauge.text}" if self.gauge else f": {self.text}"
        return f"{self.head}{probability} {self.name or 'No name'}, {self.taken_word} {self.taken}."


def make_row(film: BoardExposure, now: datetime, config: BoardConfig) -> Row:
    """The line of one film as it reads at `now`."""
    entry, result = film.entry, film.result
    words = _words(result)
    return Row(
        key=result.result_id,
        flag=result.flag,
        head=FLAG_WORDS[result.flag].head,
        text=words.head if result.flag is Flag.UNCLASSIFIED else words.text,
        advice=words.text if result.flag is Flag.UNCLASSIFIED else "",
        name=person(entry.patient_name),
        patient_id=tidy(entry.patient_id),
        accession=tidy(entry.accession),
        film=_film_facts(result),
        taken_word="taken" if film.own_time else "received",
        taken_at=film.taken_at,
        taken=clock(film.taken_at, now),
        decided=clock(entry.decided_at, now),
        marks=tuple(_marks(film, now, config)),
        caveats=tuple(CAVEAT_WORDS[caveat] for caveat in result.gate.caveats),
        gauge=_gauge(result),
        clock_trusted=result.clock.trusted,
        has_thumbnail=entry.thumbnail is not None,
        has_evidence=entry.evidence is not None and result.flag is not Flag.UNCLASSIFIED,
    )


def _words(result: Result) -> Words:
    if result.flag is not Flag.UNCLASSIFIED:
        return FLAG_WORDS[result.flag]
    return REASON_WORDS[result.gate.reason] if result.gate.reason else COULD_NOT


def _film_facts(result: Result) -> str:
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


def _marks(film: BoardExposure, now: datetime, config: BoardConfig) -> list[str]:
    entry, marks = film.entry, []
    after = entry.decided_at - film.taken_at
    if after > timedelta(seconds=config.late_after_s):
        since = "the exposure" if film.own_time else "it was received"
        marks.append(f"Late: judged {span(after)} after {since}")
    if entry.acquired_at is not None and not film.own_time:
        marks.append(f"Clocks disagree: the film says it was taken {clock(entry.acquired_at, now)}")
    if entry.resent_at is not None:
        marks.append(f"Sent again {clock(entry.resent_at, now)}: the flag is the first one's")
    return marks
