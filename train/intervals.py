"""Intervals: counts or scores of films come in; figures with their 95 % confidence intervals go out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Z95 = float(norm.ppf(0.975))
RESAMPLES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure, its 95 % interval and how that was reckoned. None where the films do not define it."""

    value: float | None
    low: float | None
    high: float | None
    method: str


def wilson(successes: int, trials: int) -> Interval:
    """Wilson (1927) score interval of a proportion."""
    if trials == 0:
        return Interval(value=None, low=None, high=None, method="wilson")
    share, z2 = successes / trials, Z95 * Z95
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 * np.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials)) / (1 + z2 / trials)
    return Interval(value=share, low=float(middle - half), high=float(middle + half), method="wilson")


def delong(labels: Labels, scores: Floats) -> Interval:
    """ROC AUC with the variance of DeLong et al. (1988), by the mid-ranks of Sun and Xu (2014)."""
    diseased, healthy = scores[labels == 1], scores[labels == 0]
    m, n = len(diseased), len(healthy)
    if m < 2 or n < 2:
        return Interval(value=None, low=None, high=None, method="delong")
    ranks = rankdata(np.concatenate([diseased, healthy]))
    auc = (ranks[:m].sum() - m * (m + 1) / 2) / (m * n)
    above = (ranks[:m] - rankdata(diseased)) / n
    below = 1.0 - (ranks[m:] - rankdata(healthy)) / m
    half = Z95 * np.sqrt(np.var(above, ddof=1) / m + np.var(below, ddof=1) / n)
    return Interval(value=float(auc), low=float(max(auc - half, 0)), high=float(min(auc + half, 1)), method="delong")


def bootstrap(figure: Callable[[Floats], Floats], tables: Floats) -> Interval:
    """Percentile bootstrap over patients of a figure of (tn, fp, fn, tp).

    `tables` float64 (patients, 4) counts each patient's films; `figure` takes (k, 4) and gives (k,). Seeded.
    """
    draws = np.random.default_rng(0).multinomial(len(tables), np.full(len(tables), 1 / len(tables)), size=RESAMPLES)
    values = figure(draws @ tables)
    (value,) = figure(tables.sum(axis=0, keepdims=True))
    method = "bootstrap over patients"
    if not np.isfinite(value):
        return Interval(value=None, low=None, high=None, method=method)
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return Interval(value=float(value), low=float(low), high=float(high), method=method)
