"""Operating plot: an operating curve comes in; a drawing for administrators goes out.

The axis is the rank of an image by its probability. So the width of the band is the share of images in review, and
probabilities that crowd around a threshold are still visible.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from export.card.elements import Drawing, percent
from export.card.svg import (
    BAND,
    BASELINE,
    FAINT,
    INK,
    MODEL,
    drawing,
    numbers,
    plain,
)
from export.evaluation.operating_curve import CurvePoint, InForce, OperatingCurve

TICKS = tuple(np.round(np.linspace(0, 1, 11), 1).tolist())


def operating_plot(curve: OperatingCurve) -> Drawing:
    """Draw sensitivity and specificity by threshold over the share of images in review, the band in force shaded."""
    by_threshold = {point.threshold: point for point in curve.points}
    low, high = by_threshold[curve.clear_below.threshold], by_threshold[curve.flag_at.threshold]

    def draw(canvas: Figure) -> None:
        above, below = (plain(axes) for axes in canvas.subplots(2, 1, sharex=True, height_ratios=(3, 1.4)))
        for axes in (above, below):
            axes.axvspan(low.below, high.below, color=BAND, lw=0)
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        _class(above, curve.points, "sensitivity", MODEL, "-")
        _class(above, curve.points, "specificity", BASELINE, "--")
        _in_force(above, low, curve.clear_below)
        _in_force(above, high, curve.flag_at)
        above.set(xlim=(0, 1), ylim=(-0.02, 1.2), yticks=np.linspace(0, 1, 6), ylabel="share of the images of a class")
        _review(below, curve.points)
        below.set_xticks(TICKS, [_tick(curve.points, share) for share in TICKS])
        below.set(xlabel="share of images below a threshold (above), and the threshold (below)", ylabel="in review")
        canvas.legend(loc="outside upper center", ncols=4)

    return drawing(
        "operating",
        draw,
        size=(9.2, 5.4),
        wide=True,
        alt=_alternative(curve),
        caption="Sensitivity and specificity by threshold. Images are ordered by probability, so the width of the "
        "shaded review band is the share of images in it. Its edges are the thresholds in force, with 95 % intervals. "
        "Below: the share in review if one threshold moved and the other stayed.",
    )


def _alternative(curve: OperatingCurve) -> str:
    thresholds = [
        f"{place.name} {place.threshold:.3f}: sensitivity {percent(place.sensitivity)}, specificity "
        f"{percent(place.specificity)}."
        for place in (curve.clear_below, curve.flag_at)
    ]
    share = percent(curve.review.share)
    return f"Sensitivity and specificity by threshold. {' '.join(thresholds)} {share} of images are in review."


def _class(axes: Axes, points: Sequence[CurvePoint], measure: str, colour: str, dash: str) -> None:
    label = {
        "sensitivity": "sensitivity: pneumonia images at or above it",
        "specificity": "specificity: normal images below it",
    }[measure]
    values = [getattr(point, measure) for point in points]
    axes.plot([point.below for point in points], values, color=colour, ls=dash, lw=1.8, label=label)


def _in_force(axes: Axes, point: CurvePoint, place: InForce) -> None:
    """Draw the threshold with both intervals, and its name on the side away from the band."""
    axes.axvline(point.below, color=INK, lw=0.9)
    for interval, colour, marker in ((place.sensitivity, MODEL, "o"), (place.specificity, BASELINE, "s")):
        axes.plot([point.below] * 2, numbers([interval], "low", "high"), color=colour, lw=2.4, solid_capstyle="butt")
        axes.plot([point.below], numbers([interval], "value"), marker, color=colour, ms=6, mec="white")
    is_low = place.name == "clear_below"
    side = ("right" if point.below > 0.2 else "left") if is_low else ("left" if point.below < 0.8 else "right")
    label = f"  {place.name} {place.threshold:.4g}  "
    axes.text(point.below, 1.15 if is_low else 1.08, label, ha=side, va="center", fontsize=9.5)


def _review(axes: Axes, points: Sequence[CurvePoint]) -> None:
    for name, dash in (("clear_below", "-"), ("flag_at", "--")):
        line = [(p.below, share) for p in points if (share := getattr(p, f"review_if_{name}")) is not None]
        axes.plot(
            *zip(*line, strict=True), color=FAINT, ls=dash, lw=1.5, label=f"share in review if {name} moved there"
        )
    axes.set_ylim(bottom=0)


def _tick(points: Sequence[CurvePoint], share: float) -> str:
    """Return the share, and the lowest threshold with at least that share of images below it."""
    reached = [point.threshold for point in points if point.below >= share - 1e-9]
    return f"{share:.0%}\n{min(reached):.3g}" if reached else f"{share:.0%}"
