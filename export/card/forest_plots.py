"""Card forests: figures with intervals come in; rows of points with their intervals go out as drawings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from export.card.elements import Drawing, percent
from export.card.svg import (
    INK,
    OURS,
    THEIRS,
    THIRD,
    drawing,
    plain,
)
from export.evaluation.robustness import CLEAN, Robustness
from metrics.estimates import Difference, Estimate
from metrics.subgroups import SubgroupRow
from train.augmentation.corruptions import CORRUPTIONS, STRENGTHS

LOOKS = ((OURS, "o"), (THEIRS, "s"), (THIRD, "^"))
ROW = 0.33
"""Inches of a line."""


def group_plot(rows: Sequence[SubgroupRow]) -> Drawing | None:
    """Sensitivity and specificity of each group; None where there are no groups."""
    if len(rows) < 2:
        return None

    def draw(canvas: Figure) -> None:
        axes = plain(canvas.subplots())
        for line, row in enumerate(rows):
            _point(axes, row.sensitivity, line - 0.15, *LOOKS[0])
            _point(axes, row.specificity, line + 0.15, *LOOKS[1])
        names = [f"{'' if row.field == 'all' else row.field + ' '}{row.value}" for row in rows]
        names = [f"{name}  ({row.normal} + {row.pneumonia})" for name, row in zip(names, rows, strict=True)]
        _rows(axes, names)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        _legend(canvas, axes, ("sensitivity", "specificity"))

    return drawing(
        "groups", draw, size=(9.2, 1.0 + ROW * len(rows)), wide=True,
        alt=f"Sensitivity and specificity of {len(rows)} groups of films; the table holds the numbers",
        caption="Groups of these films, in brackets their normal and pneumonia films. Lines are 95 % intervals; a "
        "point that is missing rests on fewer than ten films.",
    )  # fmt: skip


def stress_plot(rows: Sequence[Robustness]) -> Drawing:
    """What each corruption costs, at its three strengths: ROC AUC, calls that change, films refused."""
    known = {(row.corruption, row.strength): row for row in rows if row.corruption != CLEAN}
    refusing = any(row.refused is not None for row in rows)
    panels = ("auc_change", "flips", "refused") if refusing else ("auc_change", "flips")
    titles = {"auc_change": "change of ROC AUC", "flips": "calls that change", "refused": "films refused"}

    def draw(canvas: Figure) -> None:
        for axes, panel in zip(canvas.subplots(1, len(panels), sharey=True), panels, strict=True):
            plain(axes)
            for line, name in enumerate(CORRUPTIONS):
                for place, strength in enumerate(STRENGTHS):
                    _point(
                        axes, getattr(known[name, strength], panel), line + 0.22 * (place - 1), *LOOKS[place], ms=4.5
                    )
            _rows(axes, list(CORRUPTIONS))
            axes.set_title(titles[panel])
            if panel == "auc_change":
                axes.axvline(0, color=INK, lw=0.8)
            else:
                axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
                axes.set_xlim(-0.01, min(axes.get_xlim()[1], 1.02))
        _legend(canvas, axes, [f"strength {strength}" for strength in STRENGTHS])

    return drawing(
        "stress", draw, size=(9.6, 6.2), wide=True, alt=_worst(known),
        caption="Twelve faults of an exposure at three strengths, each against the same films without it. Lines are "
        "95 % intervals; the further from the left line of a column (in the first: from 0), the more it costs.",
    )  # fmt: skip


def _worst(known: Mapping[tuple[str, int], Robustness]) -> str:
    costs = [(row.auc_change.value, name) for (name, _), row in known.items() if row.auc_change]
    if not costs:
        return "What each corruption costs; the table holds the numbers"
    cost, name = min(costs)
    return f"What each corruption costs; the most is lost to {name}: {cost:+.3f} of ROC AUC"


def seed_plot(seeds: Mapping[str, Any], names: Mapping[str, str]) -> Drawing:
    """Each seed's figures as points, their mean as a line; `names` says which measures and how they are called."""
    measures = seeds["measures"]

    def draw(canvas: Figure) -> None:
        axes = plain(canvas.subplots())
        for line, name in enumerate(names):
            values = [value for value in measures[name]["values"] if value is not None]
            axes.plot(values, np.full(len(values), line), "o", color=OURS, ms=6, mec="white", alpha=0.8)
            if values:
                axes.plot([measures[name]["mean"]] * 2, [line - 0.28, line + 0.28], color=INK, lw=1.4)
        _rows(axes, list(names.values()))

    words = "; ".join(f"{said} {percent(measures[name]['mean'])}" for name, said in names.items())
    return drawing(
        "seeds", draw, size=(9.2, 0.7 + ROW * len(names)), wide=True, alt=f"Figures of every seed; means: {words}",
        caption="Each seed is a point, their mean the line.",
    )  # fmt: skip


def _point(  # noqa: PLR0917
    axes: Axes, found: Difference | Estimate | None, line: float, colour: str, marker: str, ms: float = 6
) -> None:
    if found is None:
        return
    axes.plot([found.low, found.high], [line, line], color=colour, lw=1.5, solid_capstyle="round")
    axes.plot([found.value], [line], marker, color=colour, ms=ms, mec="white", mew=0.7)


def _rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.spines[["left"]].set_visible(False)
    axes.grid(visible=False, axis="y")


def _legend(canvas: Figure, axes: Axes, names: Sequence[str]) -> None:
    for (colour, marker), name in zip(LOOKS, names, strict=False):
        axes.plot([], [], marker, color=colour, label=name)
    canvas.legend(loc="outside lower center", ncols=len(names))
