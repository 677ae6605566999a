"""Figures of the data set card, as PNG and SVG, and how all figures of training look. No patient's image is in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from train.data.manifest import Row
from train.data.statistics import NOT_GIVEN, Shortcut

# Fonts as text and fixed ids: the same data draw the same file.
RC_PARAMS: Any = {"svg.hashsalt": "pneumoflag", "svg.fonttype": "none", "font.size": 9.0}
DPI = 150
BINS = 64
BLUE = "#0072B2"


def draw_ages(path: Path, rows: Sequence[Row]) -> Path | None:
    """Draw the number of images of each class by age. None, and no file, where no row has an age."""
    ages = {
        label: np.array([row.age for row in rows if row.label == label and row.age is not None])
        for label in sorted({row.label for row in rows if row.age is not None})
    }
    if not ages:
        return None
    with mpl.rc_context(RC_PARAMS):
        figure = Figure(figsize=(6.4, 2.8), layout="constrained")
        axes = figure.subplots()
        axes.hist(list(ages.values()), bins=range(0, 105, 5), label=list(ages))
        axes.set(xlabel="age, years", ylabel="images")
        axes.legend(frameon=False)
        return save_figure(figure, path)


def draw_greys(path: Path, rows: Sequence[Row], images: NDArray[np.uint8]) -> Path | None:
    """Draw the share of pixels at each grey level, a line for each source and class. None where there is no image."""
    if not rows:
        return None
    groups = [f"{row.source or NOT_GIVEN}, {row.label or NOT_GIVEN}" for row in rows]
    with mpl.rc_context(RC_PARAMS):
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        axes = figure.subplots()
        for group in sorted(set(groups)):
            members = images[[other == group for other in groups]]
            shares = np.bincount((members // (256 // BINS)).ravel(), minlength=BINS) / members.size
            axes.plot(np.arange(BINS) * (256 // BINS), 100 * shares, lw=1.2, label=group)
        axes.set(xlabel="grey level", ylabel="pixels, %", yscale="log", xlim=(0, 255))
        axes.legend(frameon=False, fontsize=8)
        return save_figure(figure, path)


def draw_shortcuts(path: Path, shortcuts: Sequence[Shortcut]) -> Path | None:
    """Draw each shortcut's AUC and interval; None, and no file, where none was measured."""
    if not shortcuts:
        return None
    with mpl.rc_context(RC_PARAMS):
        figure = Figure(figsize=(6.4, 0.8 + 0.3 * len(shortcuts)), layout="constrained")
        axes = figure.subplots()
        for place, shortcut in enumerate(shortcuts):
            axes.plot([shortcut.auc.low, shortcut.auc.high], [place, place], color=BLUE)
            axes.plot(shortcut.auc.value, place, "o", color=BLUE)
        axes.axvline(0.5, color="grey", lw=0.8, ls=":")
        axes.set(yticks=range(len(shortcuts)), yticklabels=[f"{cut.question}, {cut.among}" for cut in shortcuts])
        axes.set(xlabel="ROC AUC of acquisition style alone", xlim=(0.4, 1.01))
        axes.invert_yaxis()
        return save_figure(figure, path)


def save_figure(figure: Figure, path: Path) -> Path:
    """Write PATH.png and PATH.svg, the folder as well, and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path.with_suffix(".png"), dpi=DPI)
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    return path
