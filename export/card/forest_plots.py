"""Forest plots: figures with intervals come in; rows of points with their intervals go out as drawings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from export.card.elements import Drawing, percent
from export.card.svg import (
    BASELINE,
    INK,
    MODEL,
    THIRD,
    drawing,
    plain,
)
from export.evaluation.robustness import CLEAN, Robustness
from metrics.estimates import Difference, Estimate
from metrics.subgroups import SubgroupRow
from train.augmentation.corruptions import CORRUPTIONS, STRENGTHS
from train.run.report import RunSummary

SERIES = ((MODEL, "o"), (BASELINE, "s"), (THIRD, "^"))
ROW = 0.33
"""Inches per row."""


def group_plot(rows: Sequence[SubgroupRow]) -> Drawing | None:
    """Draw sensitivity and specificity of each group; None where there are no groups."""
    if len(rows) < 2:
        return None

    def draw(canvas: Figure) -> None:
        axes = plain(canvas.subplots())
        for line, row in enumerate(rows):
            _point(axes, row.sensitivity, line - 0.15, *SERIES[0])
            _point(axes, row.specificity, line + 0.15, *SERIES[1])
        names = [f"{'' if row.field == 'all' else row.field + ' '}{row.value}" for row in rows]
        names = [f"{name}  ({row.normal} + {row.pneumonia})" for name, row in zip(names, rows, strict=True)]
        _rows(axes, names)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        _legend(canvas, axes, ("sensitivity", "specificity"))

    return drawing(
        "groups",
        draw,
        size=(9.2, 1.0 + ROW * len(rows)),
        wide=True,
        alt=f"Sensitivity and specificity of {len(rows)} groups of images; the table has the numbers",
        caption="Groups of these images, with their normal and pneumonia images in brackets. Lines are 95 % intervals. "
        "A point is missing where a group has fewer than ten images.",
    )


def robustness_plot(rows: Sequence[Robustness]) -> Drawing:
    """Draw what each corruption costs at its three strengths: ROC AUC, changed decisions, refused images."""
    by_corruption = {(row.corruption, row.strength): row for row in rows if row.corruption != CLEAN}
    panels = {"auc_change": "change of ROC AUC", "flips": "changed decisions"}
    if any(row.refused is not None for row in rows):
        panels["refused"] = "refused images"

    def draw(canvas: Figure) -> None:
        for axes, (panel, title) in zip(canvas.subplots(1, len(panels), sharey=True), panels.items(), strict=True):
            _corruption_rows(plain(axes), by_corruption, panel)
            axes.set_title(title)
        _legend(canvas, axes, [f"strength {strength}" for strength in STRENGTHS])

    return drawing(
        "robustness",
        draw,
        size=(9.6, 6.2),
        wide=True,
        alt=_worst(by_corruption),
        caption="Twelve image corruptions at three strengths, each compared with the same images without it. Lines are "
        "95 % intervals. In the first column the cost is the distance below 0, in the others the value itself.",
    )


def _corruption_rows(axes: Axes, by_corruption: Mapping[tuple[str, int], Robustness], panel: str) -> None:
    for line, name in enumerate(CORRUPTIONS):
        for place, strength in enumerate(STRENGTHS):
            interval = getattr(by_corruption[name, strength], panel)
            _point(axes, interval, line + 0.22 * (place - 1), *SERIES[place], ms=4.5)
    _rows(axes, list(CORRUPTIONS))
    if panel == "auc_change":
        axes.axvline(0, color=INK, lw=0.8)
    else:
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_xlim(-0.01, min(axes.get_xlim()[1], 1.02))


def _worst(by_corruption: Mapping[tuple[str, int], Robustness]) -> str:
    costs = [(row.auc_change.value, name) for (name, _), row in by_corruption.items() if row.auc_change]
    if not costs:
        return "What each corruption costs; the table has the numbers"
    cost, name = min(costs)
    return f"What each corruption costs; the most is lost to {name}: {cost:+.3f} of ROC AUC"


def seed_plot(summary: RunSummary, names: Mapping[str, str]) -> Drawing:
    """Draw each seed's figures as points, their mean as a line; `names` are the measures to show and their labels."""
    measures = summary.measures

    def draw(canvas: Figure) -> None:
        axes = plain(canvas.subplots())
        for line, name in enumerate(names):
            values = [value for value in measures[name].values if value is not None]
            axes.plot(values, np.full(len(values), line), "o", color=MODEL, ms=6, mec="white", alpha=0.8)
            if (mean := measures[name].mean) is not None:
                axes.plot([mean] * 2, [line - 0.28, line + 0.28], color=INK, lw=1.4)
        _rows(axes, list(names.values()))

    means = "; ".join(f"{label} {percent(measures[name].mean)}" for name, label in names.items())
    return drawing(
        "seeds",
        draw,
        size=(9.2, 0.7 + ROW * len(names)),
        wide=True,
        alt=f"Figures of every seed; means: {means}",
        caption="Each point is a seed; the line is their mean.",
    )


def _point(  # noqa: PLR0917
    axes: Axes, interval: Difference | Estimate | None, line: float, colour: str, marker: str, ms: float = 6
) -> None:
    if interval is None:
        return
    axes.plot([interval.low, interval.high], [line, line], color=colour, lw=1.5, solid_capstyle="round")
    axes.plot([interval.value], [line], marker, color=colour, ms=ms, mec="white", mew=0.7)


def _rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.spines[["left"]].set_visible(False)
    axes.grid(visible=False, axis="y")


def _legend(canvas: Figure, axes: Axes, names: Sequence[str]) -> None:
    for (colour, marker), name in zip(SERIES, names, strict=False):
        axes.plot([], [], marker, color=colour, label=name)
    canvas.legend(loc="outside lower center", ncols=len(names))
