"""Intervals: counts or scores of films come in; figures with their 95 % confidence intervals go out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def wilson(successes: float, trials: int) -> Interval:
    """Wilson (1927) score interval of a proportion. `successes` need not be whole where `trials` are patients."""
    if trials == 0:
        return Interval(value=None, low=None, high=None, method="wilson")
    share, z2 = successes / trials, Z95 * Z95
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 * np.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials)) / (1 + z2 / trials)
    low, high = max(float(middle - half), 0.0), min(float(middle + half), 1.0)  # rounding makes -0.0 % of none
    return Interval(value=share, low=low, high=high, method="wilson")


def delong(labels: Labels, scores: Floats) -> Interval:
    """ROC AUC with the variance of DeLong et al. (1988), by the mid-ranks of Sun and Xu (2014)."""
    m, n = int(labels.sum()), int((1 - labels).sum())
    if m < 2 or n < 2:
        return Interval(value=None, low=None, high=None, method="delong")
    auc, above, below = delong_parts(labels, scores)
    half = Z95 * np.sqrt(np.var(above, ddof=1) / m + np.var(below, ddof=1) / n)
    return Interval(value=auc, low=float(max(auc - half, 0)), high=float(min(auc + half, 1)), method="delong")


def delong_parts(labels: Labels, scores: Floats) -> tuple[float, Floats, Floats]:
    """ROC AUC; of each diseased film the share of healthy ones below it; of each healthy one that of diseased above.

    Ties count half. At least one film of each class.
    """
    diseased, healthy = scores[labels == 1], scores[labels == 0]
    m, n = len(diseased), len(healthy)
    ranks = rankdata(np.concatenate([diseased, healthy]))
    auc = (ranks[:m].sum() - m * (m + 1) / 2) / (m * n)
    above = (ranks[:m] - rankdata(diseased)) / n
    below = 1.0 - (ranks[m:] - rankdata(healthy)) / m
    return float(auc), above, below


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


def patient_sums(values: Floats, patients: Sequence[str]) -> Floats:
    """`values` (n,) or (n, k) of films added up for each patient: float64 (patients, k)."""
    _, index = np.unique(np.array(patients), return_inverse=True)
    columns = values.reshape(len(index), -1)
    sums = np.zeros((int(index.max()) + 1, columns.shape[1]))
    np.add.at(sums, index, columns)
    return sums


def resampled_sums(sums: Floats, resamples: int = RESAMPLES) -> Floats:
    """Sums over as many patients drawn with replacement: (patients, k) to (resamples, k). Seeded."""
    count = len(sums)
    random, step = np.random.default_rng(0), max(1, 10_000_000 // count)
    parts = [
        random.multinomial(count, np.full(count, 1 / count), size=min(step, resamples - start)) @ sums
        for start in range(0, resamples, step)
    ]
    return np.concatenate(parts)


def percentile_interval(value: float, values: Floats, method: str) -> Interval:
    """`value` with the middle 95 % of `values`, stretched to hold it; None where it is no number."""
    if not np.isfinite(value):
        return Interval(value=None, low=None, high=None, method=method)
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return Interval(value=float(value), low=float(min(low, value)), high=float(max(high, value)), method=method)
