"""Plot: a site's images and two operating points come in; the curve they were chosen on goes out as SVG."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from export.site.operating_point import Floats, Point, on_scale
from export.site.reads import SiteReads
from metrics.intervals import wilson_bounds
from train.data.plots import BLUE, RC_PARAMS
from train.run.plots import RED

STEPS = 400
EDGE = 1e-7
"""An axis of logits has no 0 and no 1."""
TICKS = (1e-6, 1e-5, 1e-4, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1 - 1e-4)
FINE_TICKS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
GREY = "#999999"


def draw_point(before: Point, after: Point, site: SiteReads) -> bytes:
    """Draw sensitivity and specificity with 95 % bands by threshold, on `after`'s probability, with both points."""
    probabilities = after.probabilities(site.logits)
    thresholds = _thresholds(probabilities, before, after)
    with mpl.rc_context(RC_PARAMS):
        figure = Figure(figsize=(7.2, 4.6), layout="constrained")
        axes = figure.subplots()
        _curve(axes, thresholds, probabilities[site.labels == 1], "sensitivity", BLUE)
        _curve(axes, thresholds, probabilities[site.labels == 0], "specificity", RED)
        _scale(axes, thresholds[0], thresholds[-1])
        _mark(axes, before, after, "before", GREY)
        _mark(axes, after, after, "after", "black")
        axes.set(xlabel="threshold on the probability", ylabel="share of the site's images, with 95 % interval")
        axes.set_title(f"operating point on {site.count(0)} normal and {site.count(1)} pneumonia images")
        axes.grid(alpha=0.3)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()


def _thresholds(probabilities: Floats, before: Point, after: Point) -> Floats:
    """Return where a curve changes, thinned out, and the points' own thresholds, with some margin at both ends."""
    steps = np.unique(probabilities)
    thinned = steps[np.unique(np.linspace(0, len(steps) - 1, STEPS).astype(np.int64))]
    marks = [
        mark for point in (on_scale(before, after.calibration), after) for mark in (point.flag_at, point.clear_below)
    ]
    shown = np.concatenate([thinned, np.nextafter(thinned, 1.0), marks])
    low, high = shown.min() / 2, 1 - (1 - shown.max()) / 2
    return np.unique(np.clip([*shown, low, high], EDGE, 1 - EDGE))


def _curve(axes: Axes, thresholds: Floats, probabilities: Floats, measure: str, colour: str) -> None:
    below = np.searchsorted(np.sort(probabilities), thresholds)
    right = below if measure == "specificity" else len(probabilities) - below
    low, high = np.array([wilson_bounds(int(count), len(probabilities)) for count in right]).T
    axes.plot(thresholds, right / len(probabilities), color=colour, lw=1.4, label=measure)
    axes.fill_between(thresholds, low, high, color=colour, alpha=0.15, lw=0)


def _mark(axes: Axes, point: Point, scale: Point, name_of_point: str, colour: str) -> None:
    """Draw lines where the point divides images, labelled with the thresholds as the point itself has them."""
    drawn = on_scale(point, scale.calibration)
    for name, line in (("flag_at", "-"), ("clear_below", ":")):
        at, own = getattr(drawn, name), getattr(point, name)
        label = f"{name_of_point}: {name} {own:.4f}" + ("" if at == own else f", here {at:.4f}")
        axes.axvline(np.clip(at, *axes.get_xlim()), color=colour, ls=line, lw=1.2, label=label)


def _scale(axes: Axes, low: float, high: float) -> None:
    axes.set_xscale("logit")
    ticks = FINE_TICKS if low > TICKS[4] and high < TICKS[8] else TICKS
    shown = [tick for tick in ticks if low <= tick <= high]
    axes.set_xticks(shown, [f"{tick:g}" for tick in shown])
    axes.set_xticks([], minor=True)
    axes.set(xlim=(low, high), ylim=(-0.02, 1.02))
