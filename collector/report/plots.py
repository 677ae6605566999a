"""Plots: a comparison comes in; SVG for the page goes out.

Colours are the page's CSS variables, so one plot serves light, dark and print. Every system has its own marker, so
nothing depends on colour alone.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from collector.compare import Comparison, Outcome
from collector.labels import NAMES
from metrics.roc import roc_curve

MARKERS = ("o", "s", "^", "D", "v", "P")
FOREST = ("sensitivity", "specificity", "precision", "npv", "accuracy", "balanced_accuracy", "f1", "mcc", "roc_auc")
# Colours that matplotlib can draw with; `_svg` replaces them by variables of the page.
SERIES = ("#010101", "#010102", "#010103", "#010104", "#010105", "#010106")
INK, FAINT, GRID = "#020201", "#020202", "#020203"
_VARIABLES = {color: f"var(--s{i})" for i, color in enumerate(SERIES, 1)} | {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    GRID: "var(--line)",
}
_SETTINGS: Any = {  # the stubs list every setting by name, which a merged dictionary cannot satisfy
    "svg.fonttype": "none",
    "font.size": 10.5,
    "font.family": "sans-serif",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def forest(comparison: Comparison) -> str:
    """Return an SVG of every system's figures with their intervals, on one axis from the lowest bound to 1."""
    systems = comparison.systems
    with mpl.rc_context(_SETTINGS | {"svg.hashsalt": "forest"}):
        height = max(5.0, 0.7 + len(FOREST) * (0.12 + 0.12 * len(systems)))
        figure = Figure(figsize=(6.4, height), layout="constrained")
        axes = figure.add_subplot()
        gap = 0.82 / max(1, len(systems))
        for row, metric in enumerate(FOREST):
            if row % 2 == 0:
                axes.axhspan(row - 0.5, row + 0.5, color=GRID, alpha=0.28, linewidth=0)
            for place, outcome in enumerate(systems):
                _whisker(axes, outcome, metric, row + (place - (len(systems) - 1) / 2) * gap, place)
        axes.set_yticks(range(len(FOREST)), [NAMES[metric] for metric in FOREST])
        axes.set_ylim(len(FOREST) - 0.5, -0.5)
        axes.set_xlim(_lowest(systems), 1.005)
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        axes.spines[["left", "bottom"]].set_visible(False)
        return _svg(figure, "Figures of each system with 95 % intervals; the table below holds the numbers")


def _whisker(axes: Axes, outcome: Outcome, metric: str, y: float, place: int) -> None:
    estimate = outcome.metrics[metric]
    if estimate is None:
        axes.text(1.0, y, "undefined", ha="right", va="center", fontsize=8, color=FAINT)
        return
    color = SERIES[place % len(SERIES)]
    axes.plot([estimate.low, estimate.high], [y, y], color=color, linewidth=1.8, solid_capstyle="round")
    axes.plot([estimate.value], [y], marker=MARKERS[place % len(MARKERS)], color=color, markersize=6)


def _lowest(systems: Sequence[Outcome]) -> float:
    lows = [estimate.low for outcome in systems for name in FOREST if (estimate := outcome.metrics[name]) is not None]
    return float(np.floor((min(lows, default=0.0) - 0.02) * 10) / 10)


def roc(comparison: Comparison) -> str:
    """Return an SVG of the ROC curves of the systems with scores, and all operating points with both intervals."""
    with mpl.rc_context(_SETTINGS | {"svg.hashsalt": "roc"}):
        figure = Figure(figsize=(5.0, 5.0), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (2, 4)))
        for place, outcome in enumerate(comparison.systems):
            _curve(axes, outcome, place)
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(-0.01, 1.01)
        axes.set_aspect("equal")
        axes.set_xlabel("1 \u2212 specificity")
        axes.set_ylabel("sensitivity")
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        if comparison.systems:
            axes.legend(loc="lower right", frameon=False, fontsize=9.5)
        return _svg(figure, "ROC curves with each system's operating point and its 95 % intervals")


def _curve(axes: Axes, outcome: Outcome, place: int) -> None:
    color, marker = SERIES[place % len(SERIES)], MARKERS[place % len(MARKERS)]
    area = outcome.metrics["roc_auc"]
    if area is not None and outcome.score is not None:
        axes.plot(*roc_curve(outcome.truth, outcome.score), color=color, linewidth=1.8)
    sensitivity, specificity = outcome.metrics["sensitivity"], outcome.metrics["specificity"]
    label = outcome.name if area is None else f"{outcome.name} (ROC AUC {area.value:.3f})"
    if sensitivity is None or specificity is None:
        return
    x, y = 1 - specificity.value, sensitivity.value
    axes.plot([1 - specificity.high, 1 - specificity.low], [y, y], color=color, linewidth=1.1)
    axes.plot([x, x], [sensitivity.low, sensitivity.high], color=color, linewidth=1.1)
    axes.plot([x], [y], marker=marker, color=color, markersize=8, linestyle="none", label=label)


def _svg(figure: Figure, description: str) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = text.replace("<svg", f'<svg role="img" aria-label="{description}"', 1)
    for color, variable in _VARIABLES.items():
        text = text.replace(color, variable)
    return re.sub(r"'[^']*Sans[^']*'(, [^;\"]*)?", "system-ui, sans-serif", text)
