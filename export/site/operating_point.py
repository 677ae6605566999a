"""Operating point: an aim and a site's films with their reads come in; thresholds that reach it go out. Pure."""

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
FILMS_TO_CALIBRATE = 20
"""Of each class: ten for each of Platt's two parameters (Peduzzi et al. 1996, for logistic regression)."""
_CALIBRATION: TypeAdapter[Calibration] = TypeAdapter(Calibration)


class AimError(UsageError):
    """The operating point that was asked for cannot be had; the words say what would do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What is asked of the new operating point: shares to be reached at the lower 95 % bound, or thresholds as given.

    `sensitivity` of not being `clear` sets clear_below; `specificity` of the flag `pneumonia` sets flag_at.
    `recalibrate`: probabilities are fitted anew, too (Platt), and then mean this site's mix of films.
    """

    sensitivity: float | None = None
    specificity: float | None = None
    flag_at: float | None = None
    clear_below: float | None = None
    recalibrate: bool = False

    def __post_init__(self) -> None:
        for name, value in (("--flag-at", self.flag_at), ("--clear-below", self.clear_below)):
            if value is not None and not 0 <= value <= 1:
                raise AimError(f"{name} {value:g}: a probability from 0 to 1 expected")
        for name, value in (("sensitivity", self.sensitivity), ("specificity", self.specificity)):
            if value is not None and not 0 < value < 1:
                raise AimError(f"--aim {name}={value:g}: a share between 0 and 1 expected")
        if self.sensitivity is not None and self.clear_below is not None:
            raise AimError("--aim sensitivity sets clear_below: leave --clear-below out")
        if self.specificity is not None and self.flag_at is not None:
            raise AimError("--aim specificity sets flag_at: leave --flag-at out")
        if not self.recalibrate and {self.sensitivity, self.specificity, self.flag_at, self.clear_below} == {None}:
            raise AimError("nothing asked for: name --aim, --flag-at, --clear-below or --recalibrate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A calibration with its thresholds, as the manifest names them."""

    calibration: Calibration
    flag_at: float
    clear_below: float

    def probabilities(self, logits: Floats) -> Floats:
        """By the box's own code, so that a film that lies on a threshold falls to the same side here and there."""
        return np.array([self.calibration.apply(float(logit)) for logit in logits], np.float64)

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {
            "calibration": self.calibration.model_dump(), "flag_at": self.flag_at, "clear_below": self.clear_below,
        }  # fmt: skip


def chosen(aim: Aim, before: Point, site: SiteReads) -> Point:
    """The new point; a threshold that nothing was asked of goes on dividing films where it did. Raises AimError.

    Where an aim would bring `clear_below` above `flag_at`, the threshold that the aim sets gives way: it is still met.
    """
    _same_sense(site)
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
            "name both, --clear-below and --flag-at, in this order"
        )
    return Point(calibration=kept.calibration, flag_at=flag_at, clear_below=clear_below)


def _same_sense(site: SiteReads) -> None:
    area = roc_auc(site.labels == 1, site.logits)
    if area is not None and area.high < 0.5:
        raise AimError(
            f"the network's scores run against the reads (ROC AUC {area.value:.2f}): check that 1 is pneumonia in the "
            "reads, and that reads and results name the same films"
        )


def _recalibrated(before: Point, site: SiteReads) -> Point:
    """Platt's fit to the site's films, with the thresholds of before at the same logits. Raises AimError."""
    if min(site.count(0), site.count(1)) < FILMS_TO_CALIBRATE:
        raise AimError(
            f"--recalibrate: {site.words} are too few, {FILMS_TO_CALIBRATE} of each expected; "
            "add reads, or leave it out"
        )
    fitted = dict(fit_calibration("platt", site.logits, site.labels, None))
    if fitted["a"] <= MIN_SLOPE:
        raise AimError("--recalibrate: the scores do not rise with the reads; check that both name the same films")
    return on_scale(before, _CALIBRATION.validate_python(fitted))


def on_scale(point: Point, calibration: Calibration) -> Point:
    """The point that divides films where `point` does, by another calibration's probabilities."""
    if point.calibration == calibration:
        return point
    flag_at, clear_below = (
        calibration.apply(first_logit(point.calibration, threshold)) for threshold in (point.flag_at, point.clear_below)
    )
    return Point(calibration=calibration, flag_at=flag_at, clear_below=clear_below)


def first_logit(calibration: Calibration, threshold: float) -> float:
    """The smallest logit, of float32 as networks answer, whose probability reaches `threshold`."""
    below, reached = np.float32(-LARGEST_LOGIT), np.float32(LARGEST_LOGIT)
    while below < (middle := np.float32((float(below) + float(reached)) / 2)) < reached:
        below, reached = (below, middle) if calibration.apply(float(middle)) >= threshold else (middle, reached)
    return float(reached)


def _clear_below(probabilities: Floats, site: SiteReads, sensitivity: float) -> float:
    diseased = np.sort(probabilities[site.labels == 1])
    lowest = diseased[_may_miss(len(diseased), sensitivity, "pneumonia", "sensitivity")]
    return _between(float(np.max(probabilities[probabilities < lowest], initial=0.0)), float(lowest))


def _flag_at(probabilities: Floats, site: SiteReads, specificity: float) -> float:
    healthy = np.sort(probabilities[site.labels == 0])
    highest = healthy[len(healthy) - 1 - _may_miss(len(healthy), specificity, "normal", "specificity")]
    if highest == 1:
        raise AimError(
            f"no threshold has a specificity of {specificity:g}: too many normal films have the probability 1; "
            "--recalibrate, or aim lower"
        )
    return _between(float(highest), float(np.min(probabilities[probabilities > highest], initial=1.0)))


def _between(below: float, reached: float) -> float:
    """Halfway, so that a last bit's difference moves no film; `reached` where nothing lies between."""
    middle = (below + reached) / 2
    return middle if below < middle else reached


def _may_miss(count: int, share: float, label: str, measure: str) -> int:
    """How many of `count` films may be missed with the lower bound still at `share`. Raises AimError."""
    if (best := _bound(count, count)) < share:
        raise AimError(
            f"{count} {label} films with a read are too few to show a {measure} of {share:g} at the lower 95 % bound: "
            f"{needed(share)} would do if none were missed; add reads, or aim at {math.floor(best * 100) / 100:g}"
        )
    missed = 0
    while missed + 1 < count and _bound(count - missed - 1, count) >= share:
        missed += 1
    return missed


def needed(share: float) -> int:
    """Films of which none is missed that Wilson's lower bound n / (n + z²) needs to reach `share`."""
    return math.ceil(norm.isf(ALPHA / 2) ** 2 * share / (1 - share))


def _bound(successes: int, trials: int) -> float:
    return wilson_bounds(successes, trials)[0]
