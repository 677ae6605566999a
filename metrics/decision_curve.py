"""Decision curve: the net benefit of acting on probabilities, by threshold.

Source: Vickers and Elkin (2006, Med Decis Making 26:565). Whoever acts from `threshold` on takes
threshold / (1 - threshold) false positives as the price of one true positive. `dcurves` computes the same without
intervals over patients and without another prevalence's two classes, so the formula is written here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metrics.estimates import Bools, Estimate, Floats
from metrics.intervals import OVER_PATIENTS, patient_sums, percentile_estimate, resampled_sums

THRESHOLDS = tuple(np.round(np.arange(0.01, 1.0, 0.01), 2).tolist())


@dataclass(frozen=True, slots=True, kw_only=True)
class NetBenefit:
    """Net true positives per image at one threshold; acting on no image has net benefit 0.

    `model` is None where a class is missing.
    """

    threshold: float
    model: Estimate | None
    act_on_all: float


def decision_curve(
    probabilities: Floats,
    positive: Bools,
    patients: Sequence[str],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    prevalence: float | None = None,
) -> tuple[NetBenefit, ...]:
    """Return a row for each threshold, each within (0, 1), with its 95 % interval by bootstrap over patients.

    `probabilities`, `positive` and `patients` are (n,). `prevalence` is the share of positives that the probabilities
    refer to; None: the share among the images.
    """
    grid = np.array(thresholds)
    odds = grid / (1 - grid)
    share = float(positive.mean()) if prevalence is None else prevalence
    classes = np.stack([positive, ~positive], axis=1).astype(float)
    acted = (probabilities[:, None] >= grid).astype(float)
    columns = np.concatenate([acted * classes[:, :1], acted * classes[:, 1:], classes], axis=1)
    sums = patient_sums(columns, patients)
    (value,) = _net_benefit(sums.sum(axis=0, keepdims=True), odds, share)
    drawn = _net_benefit(resampled_sums(sums), odds, share)
    return tuple(
        NetBenefit(
            threshold=float(threshold),
            model=percentile_estimate(float(value[index]), drawn[:, index], OVER_PATIENTS),
            act_on_all=float(share - (1 - share) * odds[index]),
        )
        for index, threshold in enumerate(grid)
    )


def _net_benefit(sums: Floats, odds: Floats, share: float) -> Floats:
    """(k, thresholds) from sums (k, 2 * thresholds + 2): true and false positives, then images of either class."""
    count = len(odds)
    with np.errstate(invalid="ignore", divide="ignore"):
        true, false = sums[:, :count] / sums[:, -2:-1], sums[:, count:-2] / sums[:, -1:]
    return share * true - (1 - share) * false * odds
