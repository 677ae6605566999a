"""Match: stored results, vendor outputs and reads come in; a study goes out. Pure.

The rule, in this order, and nothing is guessed:
1. A record that names an exposure belongs to that exposure or to none.
2. A record that names only a study belongs to the study's film. Films the gate rejected (laterals, for instance) do not
   count beside one that it accepted. Of several films of one view the last acquired is meant: a repeat is taken because
   the first was not good enough (`repeats: ambiguous` takes none). Films of different views: ambiguous.
3. A record that names only an accession number: as 2, but ambiguous when films of several studies bear it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from collector.study.identifiers import Identifiers

Repeats = Literal["last", "ambiguous"]


class Miss(StrEnum):
    """Why a record has no film."""

    UNMATCHED = "unmatched"
    AMBIGUOUS = "ambiguous"


class Level(StrEnum):
    """What matched, best first."""

    EXPOSURE = "exposure"
    STUDY = "study"
    ACCESSION = "accession"


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """One exposure of the store, whatever models judged it. `acquired_at` is ISO 8601 in UTC."""

    exposure_id: str
    study_id: str | None
    accession_id: str | None
    patient_id: str | None = None
    acquired_at: str | None
    view: str | None
    accepted: bool
    sex: str | None = None
    age_years: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The film of a record, and by what."""

    exposure_id: str
    level: Level


class Films:
    """Films by their identifiers."""

    def __init__(self, films: Iterable[Film], *, repeats: Repeats = "last") -> None:
        self.by_exposure: Mapping[str, Film] = {film.exposure_id: film for film in films}
        self._repeats = repeats
        self._by_study: dict[str, list[Film]] = defaultdict(list)
        self._by_accession: dict[str, list[Film]] = defaultdict(list)
        for film in self.by_exposure.values():
            if film.study_id:
                self._by_study[film.study_id].append(film)
            if film.accession_id:
                self._by_accession[film.accession_id].append(film)

    def find(self, identifiers: Identifiers) -> Found | Miss:
        """The film of a record by the rule above."""
        if identifiers.exposure_id is not None:
            known = identifiers.exposure_id in self.by_exposure
            return Found(exposure_id=identifiers.exposure_id, level=Level.EXPOSURE) if known else Miss.UNMATCHED
        if identifiers.study_id is not None and (films := self._by_study.get(identifiers.study_id)):
            return self._one(films, Level.STUDY)
        films = self._by_accession.get(identifiers.accession_id or "", [])
        if identifiers.study_id is not None:
            # The study named is not one of those here, whatever accession number they bear.
            films = [film for film in films if film.study_id is None]
        if len({film.study_id for film in films}) > 1:
            return Miss.AMBIGUOUS
        return self._one(films, Level.ACCESSION) if films else Miss.UNMATCHED

    def _one(self, films: Sequence[Film], level: Level) -> Found | Miss:
        chosen = [film for film in films if film.accepted] or list(films)
        if len(chosen) > 1:
            times = [film.acquired_at for film in chosen]
            if self._repeats == "ambiguous" or None in times or len(set(times)) < len(times):
                return Miss.AMBIGUOUS
            if len({film.view for film in chosen}) > 1:
                return Miss.AMBIGUOUS
        return Found(exposure_id=max(chosen, key=lambda film: film.acquired_at or "").exposure_id, level=level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A record's content once its film is known. `record` names the record in lists of what was left out."""

    record: str
    level: Level
    positive: bool | None
    score: float | None = None


def settle(said: Sequence[Said]) -> Said | None:
    """The one word of several of the same source about one film: the best level's; None when those differ."""
    order = list(Level)
    best = min(order.index(one.level) for one in said)
    words = [one for one in said if order.index(one.level) == best]
    return words[-1] if len({(word.positive, word.score) for word in words}) == 1 else None
