"""Operating point: an aim and a site's images with their reads come in; thresholds that reach it go out. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy.stats import norm

from console.errors import UsageError
from device.bundle.manifest import Calibration
from export.site.reads import SiteReads
from metrics.intervals import ALPHA, wilson_bounds
from metrics.roc import roc_auc
from train.calibration.methods import MIN_SLOPE, fit_calibration

Floats = NDArray[np.float64]
LARGEST_LOGIT = 64.0
IMAGES_TO_CALIBRATE = 20
"""Of each class: ten for each of Platt's two parameters (Peduzzi et al. 1996, for logistic regression)."""
_CALIBRATION: TypeAdapter[Calibration] = TypeAdapter(Calibration)


class AimError(UsageError):
    """The requested operating point cannot be reached; the message says what can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What the new operating point must reach: shares at the lower 95 % bound, or thresholds as given.

    `sensitivity` of not being `clear` sets clear_below; `specificity` of the flag `pneumonia` sets flag_at.
    `recalibrate` also refits the probabilities (Platt); they then refer to this site's prevalence.
    """

    sensitivity: float | None = None
    specificity: float | None = None
    flag_at: float | None = None
    clear_below: float | None = None
    recalibrate: bool = False

    def __post_init__(self) -> None:
        for name, value in (("--flag-at", self.flag_at), ("--clear-below", self.clear_below)):
            if value is not None and not 0 <= value <= 1:
                raise AimError(f"{name}: expected a probability from 0 to 1, got {value:g}")
        for name, value in (("sensitivity", self.sensitivity), ("specificity", self.specificity)):
            if value is not None and not 0 < value < 1:
                raise AimError(f"--aim {name}: expected a share between 0 and 1, got {value:g}")
        if self.sensitivity is not None and self.clear_below is not None:
            raise AimError("--aim sensitivity sets clear_below: leave --clear-below out")
        if self.specificity is not None and self.flag_at is not None:
            raise AimError("--aim specificity sets flag_at: leave --flag-at out")
        if not self.recalibrate and {self.sensitivity, self.specificity, self.flag_at, self.clear_below} == {None}:
            raise AimError("nothing to do: name --aim, --flag-at, --clear-below or --recalibrate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A calibration with its thresholds, as the manifest names them."""

    calibration: Calibration
    flag_at: float
    clear_below: float

    def probabilities(self, logits: Floats) -> Floats:
        """Return the probabilities (n,) of `logits` (n,) by the box's own code.

        So an image exactly on a threshold falls to the same side here and there.
        """
        return np.array([self.calibration.apply(float(logit)) for logit in logits], np.float64)

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {
            "calibration": self.calibration.model_dump(),
            "flag_at": self.flag_at,
            "clear_below": self.clear_below,
        }


def choose_point(aim: Aim, before: Point, site: SiteReads) -> Point:
    """Return the new point; a threshold without an aim divides images where it did. Raises AimError.

    Where an aim would bring `clear_below` above `flag_at`, the threshold that the aim sets is moved; it is still met.
    """
    area = roc_auc(site.labels == 1, site.logits)
    if area is not None and area.high < 0.5:
        raise AimError(
            f"the network's scores contradict the reads (ROC AUC {area.value:.2f}): check that 1 is pneumonia in the "
            "reads, and that reads and results name the same images"
        )
    kept = _recalibrated(before, site) if aim.recalibrate else before
    probabilities = kept.probabilities(site.logits)
    clear_below = kept.clear_below if aim.clear_below is None else aim.clear_below
    flag_at = kept.flag_at if aim.flag_at is None else aim.flag_at
    if aim.sensitivity is not None:
        clear_below = _clear_below(probabilities, site, aim.sensitivity)
    if aim.specificity is not None:
        flag_at = max(_flag_at(probabilities, site, aim.specificity), clear_below)
    elif aim.sensitivity is not None:
        clear_below = min(clear_below, flag_at)
    if clear_below > flag_at:
        raise AimError(
            f"clear_below {clear_below:.4f} would lie above flag_at {flag_at:.4f}; "
            "name both --clear-below and --flag-at, the first not above the second"
        )
    return Point(calibration=kept.calibration, flag_at=flag_at, clear_below=clear_below)


def _recalibrated(before: Point, site: SiteReads) -> Point:
    """Fit Platt's calibration to the site's images; the thresholds keep their logits. Raises AimError."""
    if min(site.count(0), site.count(1)) < IMAGES_TO_CALIBRATE:
        raise AimError(
            f"--recalibrate: expected at least {IMAGES_TO_CALIBRATE} images of each label, got {site.description}; "
            "add reads, or leave it out"
        )
    fitted = dict(fit_calibration("platt", site.logits, site.labels, None))
    if fitted["a"] <= MIN_SLOPE:
        raise AimError("--recalibrate: the scores do not rise with the reads; check that both name the same images")
    return on_scale(before, _CALIBRATION.validate_python(fitted))


def on_scale(point: Point, calibration: Calibration) -> Point:
    """Return the point that divides images where `point` does, by another calibration's probabilities."""
    if point.calibration == calibration:
        return point
    flag_at, clear_below = (
        calibration.apply(first_logit(point.calibration, threshold)) for threshold in (point.flag_at, point.clear_below)
    )
    return Point(calibration=calibration, flag_at=flag_at, clear_below=clear_below)


def first_logit(calibration: Calibration, threshold: float) -> float:
    """Return the smallest float32 logit, as networks return, whose probability reaches `threshold`."""
    below, reached = np.float32(-LARGEST_LOGIT), np.float32(LARGEST_LOGIT)
    while below < (middle := np.float32((float(below) + float(reached)) / 2)) < reached:
        below, reached = (below, middle) if calibration.apply(float(middle)) >= threshold else (middle, reached)
    return float(reached)


def _clear_below(probabilities: Floats, site: SiteReads, sensitivity: float) -> float:
    positives = np.sort(probabilities[site.labels == 1])
    lowest = positives[_may_miss(len(positives), sensitivity, "pneumonia", "sensitivity")]
    return _between(float(np.max(probabilities[probabilities < lowest], initial=0.0)), float(lowest))


def _flag_at(probabilities: Floats, site: SiteReads, specificity: float) -> float:
    negatives = np.sort(probabilities[site.labels == 0])
    highest = negatives[len(negatives) - 1 - _may_miss(len(negatives), specificity, "normal", "specificity")]
    if highest == 1:
        raise AimError(
            f"no threshold has a specificity of {specificity:g}: too many normal images have the probability 1; "
            "use --recalibrate, or aim lower"
        )
    return _between(float(highest), float(np.min(probabilities[probabilities > highest], initial=1.0)))


def _between(below: float, reached: float) -> float:
    """Return the middle, so that a difference in the last bit moves no image; `reached` where nothing lies between."""
    middle = (below + reached) / 2
    return middle if below < middle else reached


def _may_miss(count: int, share: float, label: str, measure: str) -> int:
    """Return how many of `count` images may be missed with the lower bound still at `share`. Raises AimError."""
    if (best := wilson_bounds(count, count)[0]) < share:
        raise AimError(
            f"{count} {label} images with a read are too few to show a {measure} of {share:g} at the lower 95 % bound: "
            f"{needed(share)} suffice if none is missed; add reads, or aim at {math.floor(best * 100) / 100:g}"
        )
    missed = 0
    while missed + 1 < count and wilson_bounds(count - missed - 1, count)[0] >= share:
        missed += 1
    return missed


def needed(share: float) -> int:
    """Return how many images, none of them missed, Wilson's lower bound n / (n + z²) needs to reach `share`."""
    return math.ceil(norm.isf(ALPHA / 2) ** 2 * share / (1 - share))
