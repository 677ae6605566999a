"""Operating curve: probabilities, labels and thresholds come in; what each threshold gives and costs goes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrics.estimates import Estimate, Floats
from metrics.intervals import proportion
from train.calibration.thresholds import Thresholds
from train.run.measures import flag_counts

HALF = 0.5
GRID = tuple(np.round(np.linspace(0, 1, 201), 3).tolist())
BETWEEN = 100
"""Further thresholds, with as many images between each: where probabilities crowd, equal steps are too coarse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """The figures at `threshold`: images from it up are classified as pneumonia; `below` is the share that is not.

    `review_if_clear_below` is the share of images in review if clear_below were here and flag_at unchanged, None above
    flag_at; `review_if_flag_at` the other way round, None below clear_below.
    """

    threshold: float
    below: float
    sensitivity: float
    specificity: float
    review_if_clear_below: float | None
    review_if_flag_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """A threshold of the bundle, `flag_at` or `clear_below`; `false_alarms` are normal images from it up."""

    name: str
    threshold: float
    sensitivity: Estimate | None
    specificity: Estimate | None
    false_alarms: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """The band between the thresholds. An error is an image with the wrong flag; in review, one half decides."""

    images: int
    inside: int
    errors: int
    errors_inside: int
    share: Estimate | None
    share_of_errors: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingCurve:
    """The curve, the thresholds in force on it, the number of images by flag and label, and the review band."""

    points: tuple[CurvePoint, ...]
    flag_at: InForce
    clear_below: InForce
    flags: Mapping[str, Mapping[str, int]]
    review: Review


def operating_curve(
    probabilities: Floats, labels: NDArray[np.int64], *, flag_at: float, clear_below: float
) -> OperatingCurve:
    """Measure calibrated `probabilities` (n,) with labels 0 or 1, at least one of each."""
    crowded = np.quantile(probabilities, np.linspace(0, 1, BETWEEN + 1), method="nearest")
    grid = sorted({*GRID, *crowded.tolist(), flag_at, clear_below})
    chosen = Thresholds(flag_at=flag_at, clear_below=clear_below, aim="")
    return OperatingCurve(
        points=tuple(_point(value, probabilities, labels, chosen) for value in grid),
        flag_at=_in_force("flag_at", flag_at, probabilities, labels),
        clear_below=_in_force("clear_below", clear_below, probabilities, labels),
        flags=flag_counts(probabilities, labels, chosen),
        review=review(probabilities, labels, flag_at=flag_at, clear_below=clear_below),
    )


def review(probabilities: Floats, labels: NDArray[np.int64], *, flag_at: float, clear_below: float) -> Review:
    """Count the images, and the misclassified among them, between the thresholds."""
    inside = (probabilities >= clear_below) & (probabilities < flag_at)
    positive = (probabilities >= flag_at) | (inside & (probabilities >= HALF))
    wrong = positive != (labels == 1)
    counts = int(inside.sum()), int(wrong.sum()), int((wrong & inside).sum())
    return Review(
        images=len(labels),
        inside=counts[0],
        errors=counts[1],
        errors_inside=counts[2],
        share=proportion(counts[0], len(labels)),
        share_of_errors=proportion(counts[2], counts[1]),
    )


def complement(share: Estimate | None) -> Estimate | None:
    """Return 1 minus a share, with its interval."""
    if share is None:
        return None
    return Estimate(value=1 - share.value, low=1 - share.high, high=1 - share.low, method=share.method)


def _point(threshold: float, probabilities: Floats, labels: NDArray[np.int64], chosen: Thresholds) -> CurvePoint:
    above = probabilities >= threshold
    lower = _share((probabilities < chosen.flag_at) & above) if threshold <= chosen.flag_at else None
    upper = _share((probabilities >= chosen.clear_below) & ~above) if threshold >= chosen.clear_below else None
    return CurvePoint(
        threshold=float(threshold),
        below=_share(~above),
        sensitivity=_share(above[labels == 1]),
        specificity=_share(~above[labels == 0]),
        review_if_clear_below=lower,
        review_if_flag_at=upper,
    )


def _share(chosen: NDArray[np.bool_]) -> float:
    return float(chosen.mean())


def _in_force(name: str, threshold: float, probabilities: Floats, labels: NDArray[np.int64]) -> InForce:
    above = probabilities >= threshold
    normal, pneumonia = labels == 0, labels == 1
    specificity = proportion(int((~above & normal).sum()), int(normal.sum()))
    return InForce(
        name=name,
        threshold=threshold,
        sensitivity=proportion(int((above & pneumonia).sum()), int(pneumonia.sum())),
        specificity=specificity,
        false_alarms=complement(specificity),
    )
