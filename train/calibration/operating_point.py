"""Choose the operating point: calibration and thresholds, from logits of held-out images.

A pinned calibration is sigmoid(slope * (logit - operating logit)): one half is where an image is called pneumonia. On
images of the training's own making both classes part too well to say where that is, so it is not where their
sensitivity is high: it is logit 0, as both classes are drawn equally often, or the logit at which the worst source
fares best.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.calibration.methods import apply_calibration, fit_calibration
from train.calibration.thresholds import Thresholds, choose
from train.recipe import OperatingPointSection

Floats = NDArray[np.float64]
Calibration = Mapping[str, Any]
MIN_IMAGES = 20
"""A source with fewer images of a class does not say where to decide."""
STEP = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """What a bundle's manifest says of probabilities and flags.

    `operating_logit` is the logit of probability one half, None where the calibration does not pin it.
    """

    calibration: Calibration
    thresholds: Thresholds
    operating_logit: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutLogits:
    """Logits (n,) and labels (n,) of images that no weight was fitted on."""

    logits: Floats
    labels: NDArray[np.int64]


NO_HELD_OUT_LOGITS = HeldOutLogits(logits=np.zeros(0), labels=np.zeros(0, np.int64))


def operating_point(
    section: OperatingPointSection,
    held_out: HeldOutLogits,
    sources: NDArray[np.str_],
    corrupted: HeldOutLogits = NO_HELD_OUT_LOGITS,
) -> OperatingPoint:
    """Choose calibration and thresholds on held-out images and their `sources` (n,).

    A pinned point takes slope and review band from corrupted copies of the images too, so that both still hold
    on them.
    """
    if section.calibration != "pinned":
        logits, labels = held_out.logits, held_out.labels
        calibration = fit_calibration(section.calibration, logits, labels, section.prevalence)
        return OperatingPoint(
            calibration=calibration, thresholds=choose(apply_calibration(calibration, logits), labels, section)
        )
    even = section.decide == "even"
    operating_logit = 0.0 if even else worst_source_logit(held_out, sources)
    logits = np.concatenate([held_out.logits, corrupted.logits]) - operating_logit
    labels = np.concatenate([held_out.labels, corrupted.labels])
    temperature = fit_calibration("temperature", logits, labels, section.prevalence)["t"]
    calibration = {"method": "platt", "a": 1 / temperature, "b": -operating_logit / temperature}
    low, high = review_band(logits, labels, section.review_share)
    clear_below, flag_at = apply_calibration(calibration, np.array([low, high]) + operating_logit)
    aim = (
        "probability 0.5: "
        + ("classes drawn equally often" if even else "the lowest sensitivity or specificity of any source is highest")
        + f"; review: at most {section.review_share:.1%} of these images, placed where most errors lie"
    )
    return OperatingPoint(
        calibration=calibration,
        operating_logit=operating_logit,
        thresholds=Thresholds(flag_at=float(flag_at), clear_below=float(clear_below), aim=aim),
    )


def worst_source_logit(held_out: HeldOutLogits, sources: NDArray[np.str_]) -> float:
    """Return the logit at which the lowest sensitivity or specificity of any source is highest.

    Halfway between the ends where a range of logits is equally good. 0 where no source has MIN_IMAGES of a class.
    """
    candidates = np.unique(held_out.logits)
    rates = []
    for source in np.unique(sources):
        for label in (0, 1):
            own = np.sort(held_out.logits[(sources == source) & (held_out.labels == label)])
            if len(own) >= MIN_IMAGES:
                below = np.searchsorted(own, candidates, side="left") / len(own)
                rates.append(1 - below if label else below)
    if not rates:
        return 0.0
    worst = np.min(rates, axis=0)
    best = np.flatnonzero(worst >= worst.max() - STEP)
    first = candidates[max(best[0] - 1, 0)]
    return round(float((first + candidates[best[-1]]) / 2), 6)


def review_band(logits: Floats, labels: NDArray[np.int64], share: float) -> tuple[float, float]:
    """Return (lowest, first above) logit of the band that holds most errors among at most `share` of the images.

    It contains 0, where `logits` are decided. Both classes weigh the same, as their mix elsewhere is another.
    """
    order = np.argsort(logits)
    ordered, truth = logits[order], labels[order]
    weights = np.where(truth == 1, 0.5 / max(truth.sum(), 1), 0.5 / max((1 - truth).sum(), 1))
    wrong = weights * ((ordered >= 0) != (truth == 1))
    before, wrong_before = np.concatenate([[0], np.cumsum(weights)]), np.concatenate([[0], np.cumsum(wrong)])
    middle = int(np.searchsorted(ordered, 0.0))
    best = (-1.0, middle, middle)
    for start in range(middle + 1):
        end = int(np.searchsorted(before, before[start] + share, side="right")) - 1
        if end >= middle:
            best = max(best, (float(wrong_before[end] - wrong_before[start]), start, end))
    _, start, end = best
    low = 0.0 if start == middle else ordered[start]
    high = ordered[end] if end < len(ordered) else ordered[-1] + STEP
    return float(low), float(max(high, 0.0))
