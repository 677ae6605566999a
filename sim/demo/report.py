"""The demonstration's report: one HTML file that needs no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sim.demo.figures import FLAG_COLOURS, Downtime, draw_intervals, draw_timeline
from sim.demo.summary import Outcome

_METRICS = ("accuracy", "sensitivity", "specificity", "balanced_accuracy", "roc_auc")


def write_report(
    out: Path, summary: Mapping[str, Any], outcomes: Sequence[Outcome], comparison: Mapping[str, Any] | None
) -> Path:
    """Write `report.html` into `out`, with the thumbnails of `out/thumbs`, and return its path."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("report.html").render(
        made_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        summary=summary,
        cards=[_card(outcome, out / "thumbs") for outcome in outcomes],
        colours=FLAG_COLOURS,
        timeline=Markup(draw_timeline(outcomes, _downtime(summary))),  # noqa: S704 - drawn by us, names escaped
        intervals=Markup(draw_intervals(comparison)) if comparison else "",  # noqa: S704 - the same
        rows=_rows(comparison) if comparison else [],
    )
    path = out / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _downtime(summary: Mapping[str, Any]) -> Downtime | None:
    times = [summary["kill"][name] for name in ("collector_killed_at", "box_killed_at", "box_restarted_at")]
    if not all(times):
        return None
    collector_killed_at, box_killed_at, box_restarted_at = map(datetime.fromisoformat, times)
    return Downtime(
        collector_killed_at=collector_killed_at, box_killed_at=box_killed_at, box_restarted_at=box_restarted_at
    )


def _card(outcome: Outcome, thumbnails: Path) -> dict[str, Any]:
    path = thumbnails / f"{outcome.sent.case_id}.jpg"
    result = outcome.result
    return {
        "image": base64.b64encode(path.read_bytes()).decode("ascii") if path.exists() else None,
        "case_id": outcome.sent.case_id,
        "truth": _truth(outcome),
        "transport": outcome.sent.transport + (" (sent twice)" if outcome.sent.times_sent > 1 else ""),
        "flag": "lost" if result is None else str(result.flag),
        "probability": None if result is None else result.probability,
        "reason": None if result is None or result.gate.reason is None else str(result.gate.reason),
        "caveats": [] if result is None else [str(caveat) for caveat in result.gate.caveats],
    }


def _truth(outcome: Outcome) -> str:
    sent = outcome.sent
    if sent.case_type != "chest":
        return f"{sent.case_type.replace('_', ' ')}, must be rejected"
    if sent.label is None or sent.invented:
        return f"{sent.source}: truth unknown"
    label = "pneumonia" if sent.label else "normal"
    return f"{sent.finding} phantom" if sent.finding else f"{sent.source}: {label}"


def _rows(comparison: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "counts": [system[count] for count in ("n", "tn", "fp", "fn", "tp")],
            "figures": [_figure(system.get(metric)) for metric in _METRICS],
        }
        for name, system in comparison["systems"].items()
    ]


def _figure(figure: Mapping[str, Any] | None) -> str:
    if not figure or figure.get("value") is None:
        return "–"  # noqa: RUF001 - a dash where there is no figure
    if figure.get("low") is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} ({figure['low']:.2f}–{figure['high']:.2f})"  # noqa: RUF001 - a range
