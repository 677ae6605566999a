"""Choose the operating point: calibration and thresholds, from logits of held-out images.

Pinned calibration: Platt's, except that the operating logit, chosen for its sensitivity, is where one half begins.
Images between it and even odds are likelier normal than not, yet too many pneumonias lie among them to call them
clear; they read just above one half, so that a person looks. The price is a known error of calibration there, and
the evaluation measures it.
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
HALF, RAMP = 0.5, 0.02
"""Between the operating logit and even odds probabilities rise from HALF by RAMP (or fall to it from below)."""
POINTS = 61
STEP = 1e-6
"""Logits this far apart hold a jump of the map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """What a bundle's manifest says of probabilities and flags. `anchor` is the logit of one half, if it was chosen."""

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
    logits: Floats,
    labels: NDArray[np.int64],
    corrupted: HeldOutLogits = NO_HELD_OUT_LOGITS,
) -> OperatingPoint:
    """From `logits` (n,) and `labels` (n,) of images that no weight was fitted on.

    A pinned point takes the slope and the review band from these and from the same images as corrupted copies, so
    that probabilities and band still hold on images of another making.
    """
    if section.calibration != "pinned":
        calibration = fit_calibration(section.calibration, logits, labels, section.prevalence)
        return OperatingPoint(
            calibration=calibration, thresholds=choose(apply_calibration(calibration, logits), labels, section)
        )
    all_logits, all_labels = np.concatenate([logits, corrupted.logits]), np.concatenate([labels, corrupted.labels])
    platt = fit_calibration("platt", all_logits, all_labels, section.prevalence)
    operating_logit = sensitive_logit(np.sort(logits[labels == 1]), section.operating_sensitivity)
    calibration = pinned(platt["a"], platt["b"], operating_logit)
    low, high = review_band(all_logits, all_labels, operating_logit, section.review_share)
    clear_below, flag_at = apply_calibration(calibration, np.array([low, high]))
    return OperatingPoint(
        calibration=calibration,
        operating_logit=operating_logit,
        thresholds=Thresholds(flag_at=float(flag_at), clear_below=float(clear_below), aim=_aim(section)),
    )


def _aim(section: OperatingPointSection) -> str:
    return (
        f"probability 0.5: sensitivity {section.operating_sensitivity} on these images; review: at most "
        f"{section.review_share:.1%} of them, placed where most errors lie"
    )


def sensitive_logit(positive: Floats, sensitivity: float) -> float:
    """The highest logit at or above which that share of `positive` (ascending) lies; halfway to the next one below."""
    missed = int(np.floor((1 - sensitivity) * len(positive)))
    below = positive[missed - 1] if missed else positive[0] - 1.0
    return round(float((positive[missed] + below) / 2), 6)


def pinned(slope: float, shift: float, operating_logit: float) -> Calibration:
    """Platt's sigmoid(slope * logit + shift) with one half moved to `anchor`, as points that a manifest holds.

    `anchor` has at most six decimals.
    """
    even = -shift / slope
    top = (np.log((HALF + RAMP) / (HALF - RAMP)) - shift) / slope
    bottom = 2 * even - top
    logits = np.linspace(even - 7 / slope, even + 7 / slope, POINTS)
    ends = [
        operating_logit - STEP,
        operating_logit,
        *([top] if operating_logit < top else []),
        *([bottom] if operating_logit > bottom else []),
    ]
    # A manifest's points must rise, so two that fall together are one.
    logits = np.unique(np.round(np.concatenate([logits, ends]), 9))
    sigmoid = 1 / (1 + np.exp(-(slope * logits + shift)))
    between_up = (logits >= operating_logit) & (logits < top)
    between_down = (logits < operating_logit) & (logits > bottom)
    raised = HALF + RAMP * (logits - operating_logit) / max(top - operating_logit, STEP)
    lowered = HALF - STEP - RAMP * (operating_logit - logits) / max(operating_logit - bottom, STEP)
    shares = np.where(between_up, raised, np.where(between_down, np.minimum(lowered, sigmoid), sigmoid))
    shares = np.where((logits < operating_logit) & (shares >= HALF), HALF - STEP, shares)
    return {
        "method": "isotonic",
        "logits": tuple(logits.tolist()),
        "probabilities": tuple(np.maximum.accumulate(shares).tolist()),
    }


def review_band(logits: Floats, labels: NDArray[np.int64], operating_logit: float, share: float) -> tuple[float, float]:
    """(lowest, first above) logit of the band that holds most errors among at most `share` of the images.

    It contains `anchor`. Both classes weigh the same, as their mix elsewhere is another.
    """
    order = np.argsort(logits)
    found, truth = logits[order], labels[order]
    weights = np.where(truth == 1, 0.5 / max(truth.sum(), 1), 0.5 / max((1 - truth).sum(), 1))
    wrong = weights * ((found >= operating_logit) != (truth == 1))
    before, wrong_before = np.concatenate([[0], np.cumsum(weights)]), np.concatenate([[0], np.cumsum(wrong)])
    middle = int(np.searchsorted(found, operating_logit))
    best = (-1.0, middle, middle)
    for start in range(middle + 1):
        end = int(np.searchsorted(before, before[start] + share, side="right")) - 1
        if end >= middle:
            best = max(best, (float(wrong_before[end] - wrong_before[start]), start, end))
    _, start, end = best
    low = operating_logit if start == middle else found[start]
    high = found[end] if end < len(found) else found[-1] + STEP
    return float(low), float(max(high, operating_logit))
