"""ROC: the curve of a score, the area under it, and the paired difference of two areas.

Area and covariance: DeLong, DeLong and Clarke-Pearson (1988, Biometrics 44:837), computed by midranks in O(n log n)
after Sun and Xu (2014, IEEE Signal Processing Letters 21:1389). Ties count half. Neither SciPy, statsmodels nor
scikit-learn has DeLong's variance. The curve is scikit-learn's, written here so that the collector needs no further
library for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from metrics.estimates import Bools, Difference, Estimate, Floats
from metrics.intervals import ALPHA, wilson_bounds

DELONG = "delong"
NO_VARIANCE = "wilson on the smaller class (no DeLong variance)"
_NEGLIGIBLE = 1e-15
"""Variances below are rounding of 0."""


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


def roc_auc(positive: Bools, score: Floats) -> Estimate | None:
    """Return the ROC AUC of `score` (n,) with DeLong's interval, cut to 0-1; None without both classes.

    A perfectly separated sample has variance 0 though its area is not known without error. There, and with a class of
    one case, Wilson's interval on as many trials as the smaller class has cases stands instead; `method` says so.
    """
    smaller = int(min(positive.sum(), (~positive).sum()))
    if smaller == 0:
        return None
    placed = placements(positive, score[np.newaxis, :])
    value = float(placed.areas[0])
    variance = 0.0 if placed.covariance is None else float(placed.covariance[0, 0])
    if variance <= _NEGLIGIBLE:
        low, high = wilson_bounds(value * smaller, smaller)
        return Estimate(value=value, low=low, high=high, method=NO_VARIANCE)
    reach = float(norm.ppf(1 - ALPHA / 2)) * math.sqrt(variance)
    return Estimate(value=value, low=max(0.0, value - reach), high=min(1.0, value + reach), method=DELONG)


def roc_auc_difference(positive: Bools, first: Floats, second: Floats) -> Difference | None:
    """Return the area of `first` minus that of `second` (n,) on the same cases, with DeLong's test.

    None with fewer than two cases of a class, and where areas that differ have no variance. Cases count as
    independent: with several images of a patient, see `metrics.paired.paired_bootstrap` too.
    """
    if min(positive.sum(), (~positive).sum()) < 2:
        return None
    placed = placements(positive, np.stack([first, second]))
    value, covariance = float(placed.areas[0] - placed.areas[1]), placed.covariance
    if covariance is None:
        return None
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if variance <= _NEGLIGIBLE:
        return Difference(value=0.0, low=0.0, high=0.0, p=1.0, test=DELONG) if abs(value) < 1e-12 else None
    spread = math.sqrt(variance)
    reach = float(norm.ppf(1 - ALPHA / 2)) * spread
    p = float(2 * norm.sf(abs(value) / spread))
    return Difference(value=value, low=max(-1.0, value - reach), high=min(1.0, value + reach), p=p, test=DELONG)


def roc_curve(positive: Bools, score: Floats) -> tuple[Floats, Floats]:
    """Return false and true positive rates (k,), both rising from 0 to 1; both classes must be present.

    One point per distinct score, without those that lie on a straight piece, as `sklearn.metrics.roc_curve` has them.
    """
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    true, false = (np.concatenate([[0.0], np.cumsum(hits[order])[ends]]) for hits in (positive, ~positive))
    bends = np.flatnonzero(np.logical_or(np.diff(false, 2), np.diff(true, 2))) + 1
    corners = np.concatenate([[0], bends, [len(true) - 1]])
    return false[corners] / false[-1], true[corners] / true[-1]
