"""The report's two SVG drawings: when each result was stored, and each system's figures with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

from sim.demo.summary import Outcome

FLAG_COLOURS = {"pneumonia": "#c0392b", "review": "#d68910", "clear": "#1e8449", "unclassified": "#7f8c8d"}
_WIDTH, _LEFT, _ROW = 860, 90, 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Downtime:
    """When the collector was killed, when the box was, and when the box was back."""

    collector_killed_at: datetime
    box_killed_at: datetime
    box_restarted_at: datetime


def draw_timeline(outcomes: Sequence[Outcome], down: Downtime | None) -> str:
    """Return an SVG with a row for each exposure: from the box's Success (dot) to the collector's commit (bar)."""
    answered = [outcome for outcome in outcomes if outcome.stored_at is not None]
    if not answered:
        return ""
    start = min(outcome.sent.answered_at for outcome in answered)
    end = max(max(outcome.stored_at or start, outcome.sent.answered_at) for outcome in answered)
    span_s = max(1.0, (end - start).total_seconds())

    def x(time: datetime) -> float:
        return _LEFT + (time - start).total_seconds() / span_s * (_WIDTH - _LEFT - 20)

    height = _ROW * len(answered) + 8
    parts = []
    if down:
        first, second, third = x(down.collector_killed_at), x(down.box_killed_at), x(down.box_restarted_at)
        parts = [
            _shade(first, second, height, "#fdebd0"),
            _shade(second, third, height, "#f5b7b1"),
            f'<text x="{first + 4:.0f}" y="{height - 4}">collector killed, box killed, both restarted</text>',
        ]
    parts += [_bar(outcome, row, x) for row, outcome in enumerate(answered)]
    return _svg(height + 32, [*parts, _axis(span_s, height + 2)])


def _bar(outcome: Outcome, row: int, x: Callable[[datetime], float]) -> str:
    y = 8 + row * _ROW
    accepted, stored = x(outcome.sent.answered_at), x(outcome.stored_at or outcome.sent.answered_at)
    flag = str(outcome.result.flag) if outcome.result else "unclassified"
    left = min(accepted, stored)
    return (
        f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{escape(outcome.sent.case_id)}</text>'
        f'<rect x="{left:.1f}" y="{y - 3}" width="{max(2.0, abs(stored - accepted)):.1f}" height="6" rx="2" '
        f'fill="{FLAG_COLOURS[flag]}"><title>{escape(flag)}</title></rect>'
        f'<circle cx="{accepted:.1f}" cy="{y}" r="2.6" fill="#222"/>'
    )


def _shade(left: float, right: float, height: int, colour: str) -> str:
    return f'<rect x="{left:.1f}" y="0" width="{max(2.0, right - left):.1f}" height="{height}" fill="{colour}"/>'


def _axis(span_s: float, y: int) -> str:
    labels = "".join(
        f'<text x="{_LEFT + k / 5 * (_WIDTH - _LEFT - 20):.0f}" y="{y + 16}" text-anchor="middle">'
        f"{span_s * k / 5:.0f} s</text>"
        for k in range(6)
    )
    return f'<line x1="{_LEFT}" x2="{_WIDTH - 20}" y1="{y}" y2="{y}" stroke="#999"/>{labels}'


_METRICS = ("sensitivity", "specificity", "accuracy", "balanced_accuracy", "roc_auc")
_SYSTEM_COLOURS = ("#1f4e79", "#b9770e", "#6c3483", "#117a65")


def draw_intervals(comparison: Mapping[str, Any]) -> str:
    """Return an SVG of each system's figures with their 95 % intervals."""
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
    return _svg(y + 14, [scale, legend, *parts])


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


def _svg(height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" width="100%" role="img" xmlns="http://www.w3.org/2000/svg" '
        f'font-family="system-ui, sans-serif" font-size="10">{"".join(parts)}</svg>'
    )
