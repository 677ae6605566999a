"""The figure of a comparison: every seed's measures, and the ROC of the compared networks, as PNG and SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metrics.roc import roc_curve
from train.data.plots import RC_PARAMS, save_figure
from train.run.compare import Comparison, RunFigures
from train.run.report import MEASURE_NAMES, network_name

SHOWN = ("sensitivity", "specificity", "balanced_accuracy", "roc_auc")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SPREAD = 0.6
"""The share of the space between two measures that the runs' columns take."""


def draw_runs(path: Path, comparison: Comparison) -> None:
    """Draw every seed's measures and their mean on the left, the ROC of each run's compared network on the right."""
    with mpl.rc_context(RC_PARAMS):
        figure = Figure(figsize=(9.6, 4.4), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        _draw_measures(left, comparison.runs)
        _draw_curves(right, comparison)
        save_figure(figure, path)


def _draw_measures(axes: Axes, runs: Sequence[RunFigures]) -> None:
    step = SPREAD / len(runs)
    for index, run in enumerate(runs):
        colour = COLOURS[index % len(COLOURS)]
        for place, measure in enumerate(SHOWN):
            values = [value for value in run.measures[measure].values if value is not None]
            x = place + (index - (len(runs) - 1) / 2) * step
            axes.plot([x] * len(values), values, "o", color=colour, alpha=0.45, ms=4, mew=0)
            if values:
                axes.plot([x - step / 3, x + step / 3], [np.mean(values)] * 2, color=colour, lw=2)
        axes.plot([], [], "o-", color=colour, label=f"{run.name} ({sum(run.counted.values())} images)")
    axes.set(xticks=range(len(SHOWN)), xticklabels=[MEASURE_NAMES[name] for name in SHOWN])
    axes.set(title="each seed, and their mean", xlim=(-0.6, len(SHOWN) - 0.4))
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, loc="best", fontsize=8)


def _draw_curves(axes: Axes, comparison: Comparison) -> None:
    for index, run in enumerate(comparison.runs):
        false_positive, true_positive = roc_curve(*comparison.curves[run.name])
        label = f"{run.name}, {network_name(run.compared)}"
        axes.plot(false_positive, true_positive, lw=1.2, color=COLOURS[index % len(COLOURS)], label=label)
    axes.plot([0, 1], [0, 1], ":", color="grey", lw=0.8)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", aspect="equal", title="ROC of the networks compared")
    axes.legend(frameon=False, loc="lower right", fontsize=8)
