"""ROC: scores come in; the curve, its area and the difference of two areas go out.

Area and covariance: DeLong, DeLong and Clarke-Pearson (1988, Biometrics 44:837), computed by midranks in O(n log n)
after Sun and Xu (2014, IEEE Signal Processing Letters 21:1389).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from metrics.intervals import ALPHA, wilson_bounds
from metrics.values import Difference, Estimate

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
TEST = "delong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placements:
    """Areas of k systems and their covariance (k, k); `covariance` is None with fewer than two cases of a class."""

    areas: Floats
    covariance: Floats | None


def placements(positive: Bools, scores: Floats) -> Placements:
    """Fast DeLong for `scores` (k, n) on the same n cases; both classes must be present."""
    case, control = scores[:, positive], scores[:, ~positive]
    m, n = case.shape[1], control.shape[1]
    pooled = rankdata(np.concatenate([case, control], axis=1), axis=1)
    of_cases = (pooled[:, :m] - rankdata(case, axis=1)) / n
    of_controls = 1.0 - (pooled[:, m:] - rankdata(control, axis=1)) / m
    areas = of_cases.mean(axis=1)
    if min(m, n) < 2:
        return Placements(areas=areas, covariance=None)
    covariance = np.atleast_2d(np.cov(of_cases)) / m + np.atleast_2d(np.cov(of_controls)) / n
    return Placements(areas=areas, covariance=covariance)


def area(positive: Bools, score: Floats) -> Estimate | None:
    """ROC AUC with DeLong's interval, cut to 0-1; None without both classes.

    A perfectly parted sample has variance 0 though its area is not known without error: there, and with a class of one
    case, Wilson's interval on as many trials as the smaller class has cases stands instead, and the method says so.
    """
    smaller = int(min(positive.sum(), (~positive).sum()))
    if smaller == 0:
        return None
    found = placements(positive, score[np.newaxis, :])
    value = float(found.areas[0])
    variance = 0.0 if found.covariance is None else float(found.covariance[0, 0])
    if variance <= 1e-15:
        low, high = wilson_bounds(value * smaller, smaller)
        return Estimate(value=value, low=low, high=high, method="wilson on the smaller class (no DeLong variance)")
    reach = float(norm.ppf(1 - ALPHA / 2)) * math.sqrt(variance)
    return Estimate(value=value, low=max(0.0, value - reach), high=min(1.0, value + reach), method=TEST)


def area_difference(positive: Bools, a: Floats, b: Floats) -> Difference | None:
    """Area of `a` minus area of `b` on the same cases with DeLong's test; None where it has no variance."""
    if min(positive.sum(), (~positive).sum()) < 2:
        return None
    found = placements(positive, np.stack([a, b]))
    diff = float(found.areas[0] - found.areas[1])
    covariance = found.covariance
    if covariance is None:
        return None
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if variance <= 1e-15:
        return Difference(diff=0.0, low=0.0, high=0.0, p=1.0, test=TEST) if abs(diff) < 1e-12 else None
    spread = math.sqrt(variance)
    reach = float(norm.ppf(1 - ALPHA / 2)) * spread
    p = float(2 * norm.sf(abs(diff) / spread))
    return Difference(diff=diff, low=max(-1.0, diff - reach), high=min(1.0, diff + reach), p=p, test=TEST)


def curve(positive: Bools, score: Floats) -> tuple[Floats, Floats]:
    """False and true positive rates, both rising from 0 to 1, one point per distinct score."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    true, false = np.cumsum(positive[order])[ends], np.cumsum(~positive[order])[ends]
    start = np.zeros(1)
    return np.concatenate([start, false / false[-1]]), np.concatenate([start, true / true[-1]])
