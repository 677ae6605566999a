"""Decision curve: probabilities and labels come in; the net benefit of acting on them goes out.

Vickers and Elkin (2006): whoever acts on probabilities of `threshold` or more takes threshold / (1 - threshold)
films acted on for nothing as the price of one pneumonia found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metrics.film_intervals import (
    Floats,
    Interval,
    Labels,
    patient_sums,
    percentile_interval,
    resampled_sums,
)

THRESHOLDS = tuple(np.round(np.arange(0.01, 1.0, 0.01), 2).tolist())


@dataclass(frozen=True, slots=True, kw_only=True)
class NetBenefit:
    """Net true positives per film, at one threshold. Acting on no film has net benefit 0."""

    threshold: float
    model: Interval
    act_on_all: float


def decision_curve(
    probabilities: Floats,
    labels: Labels,
    patients: Sequence[str],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    prevalence: float | None = None,
) -> tuple[NetBenefit, ...]:
    """One row a threshold, each within (0, 1), with its 95 % interval by bootstrap over patients.

    `prevalence` is the share of pneumonia that the probabilities refer to; None: the share among the films.
    """
    grid = np.array(thresholds)
    odds = grid / (1 - grid)
    share = float(labels.mean()) if prevalence is None else prevalence
    acted = (probabilities[:, None] >= grid).astype(float)
    columns = np.concatenate([acted * labels[:, None], acted * (1 - labels[:, None]), _classes(labels)], axis=1)
    sums = patient_sums(columns, patients)
    (value,) = _net_benefit(sums.sum(axis=0, keepdims=True), odds, share)
    drawn = _net_benefit(resampled_sums(sums), odds, share)
    return tuple(
        NetBenefit(
            threshold=float(threshold),
            model=percentile_interval(float(value[index]), drawn[:, index], "bootstrap over patients"),
            act_on_all=float(share - (1 - share) * odds[index]),
        )
        for index, threshold in enumerate(grid)
    )


def _classes(labels: Labels) -> Floats:
    return np.stack([labels, 1 - labels], axis=1).astype(float)


def _net_benefit(sums: Floats, odds: Floats, share: float) -> Floats:
    """(k, thresholds) from sums (k, 2 * thresholds + 2): true and false positives, then films of either class."""
    count = len(odds)
    with np.errstate(invalid="ignore", divide="ignore"):
        found, false = sums[:, :count] / sums[:, -2:-1], sums[:, count:-2] / sums[:, -1:]
    return share * found - (1 - share) * false * odds
