"""Figures of a run: training history, ROC and confusion matrix, as PNG and SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from metrics.roc import roc_curve
from train.data.plots import BLUE, RC_PARAMS, save_figure

if TYPE_CHECKING:  # the module loads Keras, which drawing does not need
    from train.fitting.history import Step

RED = "#D55E00"


def draw_training(path: Path, steps: Mapping[int, Sequence[Step]], *, epochs: int) -> None:
    """Draw training accuracy and loss of each batch: a thin line for each seed, a thick one for their mean."""
    with mpl.rc_context(RC_PARAMS):
        figure = Figure(figsize=(7.2, 4.8), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        _draw_history(above, [[100 * step.accuracy for step in seed] for seed in steps.values()], BLUE)
        _draw_history(below, [[step.loss for step in seed] for seed in steps.values()], RED)
        above.set(ylabel="training accuracy, %", ylim=(0, 102))
        below.set(ylabel="training loss", xlabel=f"batch ({epochs} epochs)", yscale="log")
        above.set_title(f"training, {len(steps)} seeds (thin) and their mean")
        save_figure(figure, path)


def draw_roc(path: Path, scores: Mapping[int, tuple[NDArray[np.int64], NDArray[np.float64]]], *, images: str) -> None:
    """Draw the ROC of each seed from labels and logits (n,), with the point at which its logit is above 0.

    `images` describes the images in the title.
    """
    with mpl.rc_context(RC_PARAMS):
        figure = Figure(figsize=(4.8, 4.8), layout="constrained")
        axes = figure.subplots()
        for seed, (labels, logits) in scores.items():
            false_positive, true_positive = roc_curve(labels == 1, logits)
            axes.plot(false_positive, true_positive, lw=1, label=f"seed {seed}")
            point = np.mean(logits[labels == 0] > 0), np.mean(logits[labels == 1] > 0)
            axes.plot(*point, "o", color=axes.lines[-1].get_color())
        axes.plot([0, 1], [0, 1], ":", color="grey", lw=0.8)
        axes.set(xlabel="1 - specificity", ylabel="sensitivity", aspect="equal", title=f"ROC, {images}")
        axes.legend(loc="lower right", frameon=False)
        save_figure(figure, path)


def draw_confusion(path: Path, counts: Mapping[str, int], *, title: str) -> None:
    """Draw the 2 x 2 table of image counts, with each row's shares. `counts` has tn, fp, fn and tp."""
    table = np.array([[counts["tn"], counts["fp"]], [counts["fn"], counts["tp"]]])
    shares = table / table.sum(axis=1, keepdims=True)
    with mpl.rc_context(RC_PARAMS):
        figure = Figure(figsize=(3.8, 3.6), layout="constrained")
        axes = figure.subplots()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(table):
            colour = "white" if shares[row, column] > 0.5 else "black"
            text = f"{count}\n{shares[row, column]:.1%}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=12)
        names = ("normal", "pneumonia")
        axes.set(xticks=(0, 1), yticks=(0, 1), xticklabels=names, yticklabels=names)
        axes.set(xlabel="network", ylabel="label", title=title)
        save_figure(figure, path)


def _draw_history(axes: Axes, seeds: Sequence[Sequence[float]], colour: str) -> None:
    for values in seeds:
        axes.plot(np.arange(1, len(values) + 1), values, color=colour, alpha=0.25, lw=0.6)
    mean = np.mean([list(values) for values in seeds], axis=0)
    axes.plot(np.arange(1, len(mean) + 1), mean, color=colour, lw=1.6)
    axes.grid(alpha=0.3)
