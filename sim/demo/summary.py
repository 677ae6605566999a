"""Account: what was sent and what was stored come in; every film's fate and the demo's summary go out. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from device.contract import GateStatus, Result
from sim.modality.manifest import Sent
from sim.site.site import Stored

_SETTLED = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """One film: sent, and answered by `result` (None: lost), stored so many seconds after the box took it."""

    sent: Sent
    result: Result | None
    stored_at: datetime | None
    results: int

    @property
    def stored_after_s(self) -> float | None:
        """From the box's Success to the collector's commit."""
        return None if self.stored_at is None else (self.stored_at - self.sent.answered_at).total_seconds()


def fates(sent: Sequence[tuple[Sent, frozenset[str]]], stored: Sequence[Stored]) -> tuple[Fate, ...]:
    """Each film with the identifiers it may be answered under, matched with what the collector holds."""
    return tuple(_fate(film, [row for row in stored if row.result.exposure_id in ids]) for film, ids in sent)


def _fate(film: Sent, rows: Sequence[Stored]) -> Fate:
    if not rows:
        return Fate(sent=film, result=None, stored_at=None, results=0)
    at = datetime.fromisoformat(rows[0].received_at)
    return Fate(sent=film, result=rows[0].result, stored_at=at, results=len(rows))


def summary(films: Sequence[Fate], stored: Sequence[Stored], facts: Mapping[str, Any]) -> dict[str, Any]:
    """`demo-out/summary.json`. `lost`: taken and never stored; `duplicates`: results beyond one per exposure."""
    results = [row.result for row in stored]
    per_exposure = Counter((result.exposure_id, result.model.digest) for result in results)
    rejected = [result for result in results if result.gate.status is GateStatus.REJECTED]
    return {
        "exposures": len({film.sent.named_by for film in films}),
        "films_sent": sum(film.sent.times_sent for film in films),
        "results_stored": len(results),
        "lost": sum(film.result is None for film in films),
        "duplicates": sum(count - 1 for count in per_exposure.values()),
        "rejected": len(rejected),
        "rejected_by_reason": dict(sorted(Counter(str(r.gate.reason) for r in rejected).items())),
        "flags": dict(sorted(Counter(str(result.flag) for result in results).items())),
        "flags_by_truth": flags_by_truth(films),
        "latency_ms": latency_medians(films, down=_down(facts.get("kill", {}))),
        **facts,
    }


def flags_by_truth(films: Sequence[Fate]) -> dict[str, dict[str, int]]:
    """Flags of the chest films with and without pneumonia; films whose truth nobody knows are left out."""
    table: dict[str, Counter[str]] = {"normal": Counter(), "pneumonia": Counter()}
    for film in films:
        if film.result is not None and film.sent.label is not None and not film.sent.invented:
            table["pneumonia" if film.sent.label else "normal"][str(film.result.flag)] += 1
    return {truth: dict(sorted(counts.items())) for truth, counts in table.items()}


def _down(kill: Mapping[str, Any]) -> tuple[datetime, datetime] | None:
    """From the first kill until all had settled again."""
    if not (kill.get("collector_at") and kill.get("back_at")):
        return None
    return datetime.fromisoformat(kill["collector_at"]), datetime.fromisoformat(kill["back_at"]) + _SETTLED


def latency_medians(films: Sequence[Fate], *, down: tuple[datetime, datetime] | None = None) -> dict[str, float | None]:
    """Medians in milliseconds: of the box's own parts, and from its Success to the collector's commit.

    Films taken while a part was `down` are left out: what they show is that nothing is lost, not how quick it is.
    """
    films = [film for film in films if down is None or not down[0] <= film.sent.answered_at <= down[1]]
    results = [film.result for film in films if film.result is not None]
    timings: dict[str, list[float | None]] = {
        name: [getattr(result.timing_ms, name) for result in results]
        for name in ("receive", "decode", "preprocess", "infer", "total")
    }
    delays = [None if film.stored_after_s is None else 1000 * film.stored_after_s for film in films]
    return {name: _median(values) for name, values in {**timings, "taken_to_stored": delays}.items()}


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(median(known), 2) if known else None
