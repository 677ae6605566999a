"""Figures of the data set card, as PNG and SVG. No image of a patient is in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from train.data.manifest import Row
from train.data.statistics import SILENT
from train.data.table import Table

STYLE: Any = {"svg.hashsalt": "pneumoflag", "svg.fonttype": "none", "font.size": 9.0}
DPI = 150
BINS = 64


def draw_ages(path: Path, rows: Sequence[Row]) -> Path | None:
    """How many images of each class by age; None, and no file, where no age is known."""
    ages = {label: [row.age for row in rows if row.label == label and row.age is not None] for label in _labels(rows)}
    known = {label: theirs for label, theirs in ages.items() if theirs}
    if not known:
        return None
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 2.8), layout="constrained")
        axes = figure.subplots()
        axes.hist([np.array(theirs) for theirs in known.values()], bins=range(0, 105, 5), label=list(known))
        axes.set(xlabel="age, years", ylabel="images")
        axes.legend(frameon=False)
        return _saved(figure, path)


def draw_greys(path: Path, rows: Sequence[Row], images: NDArray[np.uint8]) -> Path | None:
    """The share of pixels at each grey level, one line for each source and class; None where there is no image."""
    if not rows:
        return None
    groups = [f"{row.source or SILENT}, {row.label or SILENT}" for row in rows]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        axes = figure.subplots()
        for group in sorted(set(groups)):
            theirs = images[[other == group for other in groups]]
            shares = np.bincount((theirs // (256 // BINS)).ravel(), minlength=BINS) / theirs.size
            axes.plot(np.arange(BINS) * (256 // BINS), 100 * shares, lw=1.2, label=group)
        axes.set(xlabel="grey level", ylabel="pixels, %", yscale="log", xlim=(0, 255))
        axes.legend(frameon=False, fontsize=8)
        return _saved(figure, path)


def draw_short_cuts(path: Path, table: Table | None) -> Path | None:
    """Each short cut's AUC and interval; None where none could be asked."""
    if table is None or not table.lines:
        return None
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 0.8 + 0.3 * len(table.lines)), layout="constrained")
        axes = figure.subplots()
        for place, line in enumerate(table.lines):
            value, low, high = (
                float(word) for word in line[-1].replace("(", "").replace(")", "").replace("to", "").split()
            )
            axes.plot([low, high], [place, place], color="#0072B2")
            axes.plot(value, place, "o", color="#0072B2")
        axes.axvline(0.5, color="grey", lw=0.8, ls=":")
        axes.set(yticks=range(len(table.lines)), yticklabels=[f"{line[0]}, {line[1]}" for line in table.lines])
        axes.set(xlabel="AUC of style alone", xlim=(0.4, 1.01))
        axes.invert_yaxis()
        return _saved(figure, path)


def _labels(rows: Sequence[Row]) -> list[str]:
    return sorted({row.label for row in rows})


def _saved(figure: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path.with_suffix(".png"), dpi=DPI)
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    return path
