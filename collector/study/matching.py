"""Matching: stored exposures and the identifiers of a record come in; the exposure that it means goes out. Pure.

The rule, in this order, and nothing is guessed:
1. A record that names an exposure belongs to that exposure or to none.
2. A record that names only a study belongs to the study's exposure. Exposures that the gate rejected (laterals, for
   instance) do not count beside one that it accepted. Of several exposures of one view the last acquired is meant: a
   repeat is taken because the first was not good enough (`repeats: ambiguous` takes none). Different views: ambiguous.
3. A record that names only an accession number: as 2, but ambiguous when exposures of several studies bear it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from collector.store.rows import Identifiers

Repeats = Literal["last", "ambiguous"]


class NoMatch(StrEnum):
    """Why a record has no exposure."""

    UNMATCHED = "unmatched"
    AMBIGUOUS = "ambiguous"


class Level(StrEnum):
    """The identifier that matched, most exact first."""

    EXPOSURE = "exposure"
    STUDY = "study"
    ACCESSION = "accession"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredExposure:
    """One exposure of the store, whichever models classified it. `accepted`: the gate of any of them accepted it."""

    exposure_id: str
    study_id: str | None
    accession_id: str | None
    patient_id: str | None = None
    acquired_at: datetime | None
    view: str | None
    accepted: bool
    sex: str | None = None
    age_years: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The exposure of a record, and the identifier that matched."""

    exposure_id: str
    level: Level


class ExposureIndex:
    """Exposures by their identifiers."""

    def __init__(self, exposures: Iterable[StoredExposure], *, repeats: Repeats = "last") -> None:
        self.by_id: Mapping[str, StoredExposure] = {exposure.exposure_id: exposure for exposure in exposures}
        self._repeats = repeats
        self._by_study: dict[str, list[StoredExposure]] = defaultdict(list)
        self._by_accession: dict[str, list[StoredExposure]] = defaultdict(list)
        for exposure in self.by_id.values():
            if exposure.study_id:
                self._by_study[exposure.study_id].append(exposure)
            if exposure.accession_id:
                self._by_accession[exposure.accession_id].append(exposure)

    def match(self, record: Identifiers) -> Match | NoMatch:
        """Return the exposure that a record means, by the rule above."""
        if record.exposure_id is not None:
            if record.exposure_id not in self.by_id:
                return NoMatch.UNMATCHED
            return Match(exposure_id=record.exposure_id, level=Level.EXPOSURE)
        if record.study_id is not None and (exposures := self._by_study.get(record.study_id)):
            return self._one_of(exposures, Level.STUDY)
        exposures = self._by_accession.get(record.accession_id or "", [])
        if record.study_id is not None:
            # The record's study is none of those here, whatever accession number they bear.
            exposures = [exposure for exposure in exposures if exposure.study_id is None]
        if len({exposure.study_id for exposure in exposures}) > 1:
            return NoMatch.AMBIGUOUS
        return self._one_of(exposures, Level.ACCESSION) if exposures else NoMatch.UNMATCHED

    def _one_of(self, exposures: Sequence[StoredExposure], level: Level) -> Match | NoMatch:
        candidates = [exposure for exposure in exposures if exposure.accepted] or list(exposures)
        if len(candidates) == 1:
            return Match(exposure_id=candidates[0].exposure_id, level=level)
        at = {exposure.acquired_at: exposure for exposure in candidates if exposure.acquired_at is not None}
        in_order = len(at) == len(candidates)
        if self._repeats == "ambiguous" or not in_order or len({exposure.view for exposure in candidates}) > 1:
            return NoMatch.AMBIGUOUS
        return Match(exposure_id=at[max(at)].exposure_id, level=level)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedRecord:
    """The label of a record that has an exposure, and how it was matched."""

    level: Level
    positive: bool | None
    score: float | None = None


def consistent_record(records: Sequence[MatchedRecord]) -> MatchedRecord | None:
    """Return the record that counts of several of one source for one exposure, or None when they contradict.

    The most exactly matched count; when those differ, none does.
    """
    order = list(Level)
    best = min(order.index(record.level) for record in records)
    counted = [record for record in records if order.index(record.level) == best]
    return counted[-1] if len({(record.positive, record.score) for record in counted}) == 1 else None
