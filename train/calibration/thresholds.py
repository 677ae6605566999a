"""Choose the thresholds flag_at and clear_below on held-out images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrics.intervals import wilson_bounds
from train.recipe import OperatingPointSection

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """On the calibrated probability; `aim` says what was asked and whether the images sufficed for it."""

    flag_at: float
    clear_below: float
    aim: str


def choose(probabilities: Floats, labels: NDArray[np.int64], section: OperatingPointSection) -> Thresholds:
    """`clear_below` first, for sensitivity; then `flag_at`, for specificity, never below it."""
    clear_below, bound = clear_threshold(np.sort(probabilities[labels == 1]), section.clear_sensitivity)
    flag_at = max(flag_threshold(np.sort(probabilities[labels == 0]), section.flag_specificity), clear_below)
    met = "met" if bound >= section.clear_sensitivity else "the images are too few to show it"
    aim = (
        f"clear_below: sensitivity {section.clear_sensitivity} at the lower 95 % bound ({met}: {bound:.4f}); "
        f"flag_at: specificity {section.flag_specificity}"
    )
    return Thresholds(flag_at=flag_at, clear_below=clear_below, aim=aim)


def clear_threshold(positive: Floats, sensitivity: float) -> tuple[float, float]:
    """The highest threshold whose lower Wilson bound reaches `sensitivity`, and that bound.

    `positive` ascending. Where no threshold reaches it, the one that clears no image of the positive.
    """
    count = len(positive)
    missed = 0
    while missed + 1 < count and wilson_bounds(count - missed - 1, count)[0] >= sensitivity:
        missed += 1
    return float(positive[missed]), wilson_bounds(count - missed, count)[0]


def flag_threshold(negative: Floats, specificity: float) -> float:
    """The lowest threshold at which this share of `negative` (ascending) stays unflagged."""
    unflagged = min(int(np.ceil(specificity * len(negative))), len(negative))
    return float(min(np.nextafter(negative[unflagged - 1], 1.0), 1.0))
