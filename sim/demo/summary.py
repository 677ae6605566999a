"""The summary of a demonstration: what was sent, matched with what the collector stored. Nothing is read or written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from device.contract import GateStatus, Result
from sim.modality.manifest import SentExposure
from sim.site.site import Stored

_SETTLING = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A sent exposure and its result, None when it was lost; `results` counts all results that the exposure has."""

    sent: SentExposure
    result: Result | None
    stored_at: datetime | None
    results: int

    @property
    def stored_after_s(self) -> float | None:
        """Seconds from the box's Success to the collector's commit."""
        return None if self.stored_at is None else (self.stored_at - self.sent.answered_at).total_seconds()


def match_results(sent: Sequence[tuple[SentExposure, frozenset[str]]], stored: Sequence[Stored]) -> tuple[Outcome, ...]:
    """Match each exposure, given with the identifiers that its result may carry, with what the collector stored."""
    outcomes = []
    for exposure, ids in sent:
        rows = [row for row in stored if row.result.exposure_id in ids]
        first = rows[0] if rows else None
        outcomes.append(
            Outcome(
                sent=exposure,
                result=first.result if first else None,
                stored_at=datetime.fromisoformat(first.received_at) if first else None,
                results=len(rows),
            )
        )
    return tuple(outcomes)


def summarize(outcomes: Sequence[Outcome], stored: Sequence[Stored], details: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of `summary.json`: the counts, then `details`.

    `lost`: accepted by the box and never stored. `duplicates`: results beyond one for an exposure and model.
    """
    results = [row.result for row in stored]
    per_exposure = Counter((result.exposure_id, result.model.digest) for result in results)
    rejected = [result for result in results if result.gate.status is GateStatus.REJECTED]
    kill = details.get("kill", {})
    down = None
    if kill.get("collector_killed_at") and kill.get("box_restarted_at"):
        restarted_at = datetime.fromisoformat(kill["box_restarted_at"])
        down = (datetime.fromisoformat(kill["collector_killed_at"]), restarted_at + _SETTLING)
    return {
        "exposures": len({outcome.sent.identifier for outcome in outcomes}),
        "images_sent": sum(outcome.sent.times_sent for outcome in outcomes),
        "results_stored": len(results),
        "lost": sum(outcome.result is None for outcome in outcomes),
        "duplicates": sum(count - 1 for count in per_exposure.values()),
        "rejected": len(rejected),
        "rejected_by_reason": dict(sorted(Counter(str(r.gate.reason) for r in rejected).items())),
        "flags": dict(sorted(Counter(str(result.flag) for result in results).items())),
        "flags_by_truth": flags_by_truth(outcomes),
        "latency_ms": latency_medians(outcomes, down=down),
        **details,
    }


def flags_by_truth(outcomes: Sequence[Outcome]) -> dict[str, dict[str, int]]:
    """Count the flags of chest exposures with and without pneumonia, leaving out those of unknown truth."""
    table: dict[str, Counter[str]] = {"normal": Counter(), "pneumonia": Counter()}
    for outcome in outcomes:
        sent = outcome.sent
        if outcome.result is not None and sent.label is not None and not sent.invented:
            table["pneumonia" if sent.label else "normal"][str(outcome.result.flag)] += 1
    return {truth: dict(sorted(counts.items())) for truth, counts in table.items()}


def latency_medians(
    outcomes: Sequence[Outcome], *, down: tuple[datetime, datetime] | None = None
) -> dict[str, float | None]:
    """Return medians in milliseconds: of the box's own steps, and from its Success to the collector's commit.

    Exposures accepted while a process was `down` are left out: they show that nothing is lost, not how fast it is.
    """
    outcomes = [o for o in outcomes if down is None or not down[0] <= o.sent.answered_at <= down[1]]
    results = [outcome.result for outcome in outcomes if outcome.result is not None]
    timings: dict[str, list[float | None]] = {
        name: [getattr(result.timing_ms, name) for result in results]
        for name in ("receive", "decode", "preprocess", "infer", "total")
    }
    delays_s = [outcome.stored_after_s for outcome in outcomes]
    timings["accepted_to_stored"] = [None if delay_s is None else 1000 * delay_s for delay_s in delays_s]
    medians = {}
    for name, values in timings.items():
        measured = [value for value in values if value is not None]
        medians[name] = round(median(measured), 2) if measured else None
    return medians
