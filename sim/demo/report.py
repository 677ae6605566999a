"""Report: the summary, every film's fate and the comparison come in; one HTML file that needs no network goes out."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sim.demo.figures import (
    FLAG_COLOURS,
    Down,
    intervals,
    timeline,
)
from sim.demo.summary import Fate

_METRICS = ("accuracy", "sensitivity", "specificity", "balanced_accuracy", "roc_auc")


def write_report(
    out: Path, summary: Mapping[str, Any], films: Sequence[Fate], comparison: Mapping[str, Any] | None
) -> Path:
    """Write `report.html` into `out`, with the thumbnails that stand in `out/thumbs`. Returns its path."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("report.html").render(
        made_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        summary=summary,
        cards=[_card(film, out / "thumbs") for film in films],
        colours=FLAG_COLOURS,
        timeline=Markup(timeline(films, _down(summary))),  # noqa: S704 - drawn by us, names escaped
        intervals=Markup(intervals(comparison)) if comparison else "",  # noqa: S704 - the same
        rows=_rows(comparison) if comparison else [],
    )
    path = out / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _down(summary: Mapping[str, Any]) -> Down | None:
    moments = [summary["kill"][name] for name in ("collector_at", "at", "back_at")]
    if not all(moments):
        return None
    first, second, third = (datetime.fromisoformat(moment) for moment in moments)
    return first, second, third


def _card(film: Fate, thumbs: Path) -> dict[str, Any]:
    picture = thumbs / f"{film.sent.case_id}.jpg"
    image = base64.b64encode(picture.read_bytes()).decode("ascii") if picture.exists() else None
    result = film.result
    return {
        "image": image,
        "case_id": film.sent.case_id,
        "truth": _truth(film),
        "way": film.sent.way + (" (sent twice)" if film.sent.times_sent > 1 else ""),
        "flag": "lost" if result is None else str(result.flag),
        "probability": None if result is None else result.probability,
        "reason": None if result is None or result.gate.reason is None else str(result.gate.reason),
        "caveats": [] if result is None else [str(caveat) for caveat in result.gate.caveats],
    }


def _truth(film: Fate) -> str:
    if film.sent.kind != "chest":
        return f"{film.sent.kind.replace('_', ' ')}, to be turned away"
    if film.sent.label is None or film.sent.invented:
        return f"{film.sent.source}: truth not known"
    words = "pneumonia" if film.sent.label else "normal"
    return f"{film.sent.finding} phantom" if film.sent.finding else f"{film.sent.source}: {words}"


def _rows(comparison: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "counts": [figures[count] for count in ("n", "tn", "fp", "fn", "tp")],
            "figures": [_figure(figures.get(metric)) for metric in _METRICS],
        }
        for name, figures in comparison["systems"].items()
    ]


def _figure(figure: Mapping[str, Any] | None) -> str:
    if not figure or figure.get("value") is None:
        return "–"  # noqa: RUF001 - a dash for nothing
    if figure.get("low") is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} ({figure['low']:.2f}–{figure['high']:.2f})"  # noqa: RUF001 - a range
