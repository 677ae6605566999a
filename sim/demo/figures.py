"""Figures: fates of films and a comparison come in; SVG drawings that need no network go out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from sim.demo.summary import Fate

FLAG_COLOURS = {"pneumonia": "#c0392b", "review": "#d68910", "clear": "#1e8449", "unclassified": "#7f8c8d"}
_WIDTH, _LEFT, _ROW = 860, 90, 13


Down = tuple[datetime, datetime, datetime]


def timeline(films: Sequence[Fate], down: Down | None) -> str:
    """A row per film: from the box's Success (dot) to the collector's commit (bar).

    `down`: when the collector was killed, when the box was, and when it was back; shaded.
    """
    known = [film for film in films if film.stored_at is not None]
    if not known:
        return ""
    start = min(film.sent.answered_at for film in known)
    end = max(max(film.stored_at or film.sent.answered_at, film.sent.answered_at) for film in known)
    span_s = max(1.0, (end - start).total_seconds())

    def x(moment: datetime) -> float:
        return _LEFT + (moment - start).total_seconds() / span_s * (_WIDTH - _LEFT - 20)

    height = _ROW * len(known) + 8
    parts = []
    if down:
        parts = [_shade(x(down[0]), x(down[1]), height, "#fdebd0"), _shade(x(down[1]), x(down[2]), height, "#f5b7b1")]
        parts.append(
            f'<text x="{x(down[0]) + 4:.0f}" y="{height - 4}">collector killed, then the box, then both back</text>'
        )
    for row, film in enumerate(known):
        parts.append(_bar(film, row, x))
    parts.append(_axis(span_s, _ROW * len(known) + 10))
    return _svg(_WIDTH, _ROW * len(known) + 40, parts)


def _bar(film: Fate, row: int, x: Any) -> str:
    y = 8 + row * _ROW
    taken, stored = x(film.sent.answered_at), x(film.stored_at)
    flag = str(film.result.flag) if film.result else "unclassified"
    low, high = min(taken, stored), max(taken, stored)
    return (
        f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{escape(film.sent.case_id)}</text>'
        f'<rect x="{low:.1f}" y="{y - 3}" width="{max(2.0, high - low):.1f}" height="6" rx="2" '
        f'fill="{FLAG_COLOURS[flag]}"><title>{escape(flag)}</title></rect>'
        f'<circle cx="{taken:.1f}" cy="{y}" r="2.6" fill="#222"/>'
    )


def _shade(left: float, right: float, height: int, colour: str) -> str:
    return f'<rect x="{left:.1f}" y="0" width="{max(2.0, right - left):.1f}" height="{height}" fill="{colour}"/>'


def _axis(span_s: float, y: int) -> str:
    ticks = [span_s * k / 5 for k in range(6)]
    place = [_LEFT + k / 5 * (_WIDTH - _LEFT - 20) for k in range(6)]
    labels = "".join(
        f'<text x="{at:.0f}" y="{y + 16}" text-anchor="middle">{s:.0f} s</text>'
        for at, s in zip(place, ticks, strict=True)
    )
    return f'<line x1="{_LEFT}" x2="{_WIDTH - 20}" y1="{y}" y2="{y}" stroke="#999"/>{labels}'


_METRICS = ("sensitivity", "specificity", "accuracy", "balanced_accuracy", "roc_auc")
_SYSTEM_COLOURS = ("#1f4e79", "#b9770e", "#6c3483", "#117a65")


def intervals(comparison: Mapping[str, Any]) -> str:
    """Each system's figures with their 95 % intervals."""
    systems = list(comparison["systems"])
    parts, y = [], 24
    for metric in _METRICS:
        parts.append(f'<text x="150" y="{y + 4}" text-anchor="end">{metric.replace("_", " ")}</text>')
        for k, name in enumerate(systems):
            parts.append(_interval(comparison["systems"][name].get(metric), y, _SYSTEM_COLOURS[k % 4], name))
            y += 12
        y += 12
    legend = "".join(
        f'<text x="{170 + 130 * k}" y="12" fill="{_SYSTEM_COLOURS[k % 4]}">&#9679; {escape(name)}</text>'
        for k, name in enumerate(systems)
    )
    scale = "".join(
        f'<line x1="{170 + 6.4 * v}" x2="{170 + 6.4 * v}" y1="18" y2="{y - 8}" stroke="#ddd"/>'
        f'<text x="{170 + 6.4 * v}" y="{y + 6}" text-anchor="middle">{v} %</text>'
        for v in (0, 25, 50, 75, 100)
    )
    return _svg(_WIDTH, y + 14, [scale, legend, *parts])


def _interval(figure: Mapping[str, Any] | None, y: int, colour: str, name: str) -> str:
    if not figure or figure.get("value") is None:
        return ""
    value = 170 + 640 * figure["value"]
    title = f"<title>{escape(name)} {figure['value']:.3f}</title>"
    dot = f'<circle cx="{value:.1f}" cy="{y}" r="4" fill="{colour}">{title}</circle>'
    if figure.get("low") is None:
        return dot
    low, high = 170 + 640 * figure["low"], 170 + 640 * figure["high"]
    return f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/>{dot}'


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="100%" role="img" xmlns="http://www.w3.org/2000/svg" '
        f'font-family="system-ui, sans-serif" font-size="10">{"".join(parts)}</svg>'
    )
