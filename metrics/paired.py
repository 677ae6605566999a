"""Paired comparisons: two systems' outcomes on the same cases, their difference and whether it is more than chance.

Sources: McNemar's exact test (1947, Psychometrika 12:153; `statsmodels`) and its mid-p form (Fagerland, Lydersen and
Laake 2013, BMC Med Res Methodol 13:91); Newcombe (1998, Stat Med 17:2635) method 10 for the interval of a paired
difference of proportions; Holm (1979, Scand J Stat 6:65; `statsmodels`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom
from statsmodels.stats.contingency_tables import mcnemar as exact_mcnemar
from statsmodels.stats.multitest import multipletests

from metrics.confusion import balanced_accuracy_values
from metrics.estimates import Bools, Difference, Floats
from metrics.intervals import OVER_PATIENTS, patient_sums, percentile_estimate, resampled_sums, wilson_bounds

NEWCOMBE = "mcnemar exact; newcombe 10"


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """Cases that only the first, and only the second, classified correctly; two-sided p-values."""

    only_first: int
    only_second: int
    p_exact: float
    p_mid: float


def mcnemar(first: Bools, second: Bools) -> McNemar:
    """McNemar's test of two outcomes (n,) of the same cases, such as whether each system was correct.

    The mid-p form keeps its level nearly as well as the exact one and has more power.
    """
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    count, fewer = only_first + only_second, min(only_first, only_second)
    p_exact = min(1.0, float(exact_mcnemar([[0, only_first], [only_second, 0]], exact=True).pvalue))
    # With equal counts both tails hold the middle outcome: Fagerland et al. take half of its probability from 1.
    point = float(binom.pmf(fewer, count, 0.5))
    p_mid = 2 * float(binom.cdf(fewer, count, 0.5)) - point if only_first != only_second else 1.0 - point / 2
    return McNemar(only_first=only_first, only_second=only_second, p_exact=p_exact, p_mid=p_mid if count else 1.0)


def proportion_difference(first: Bools, second: Bools) -> Difference | None:
    """Return the share of `first` minus that of `second` (n,) over the same cases; None for no cases."""
    if not len(first):
        return None
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    test = mcnemar(first, second)
    low, high = newcombe10(both, test.only_first, test.only_second, neither)
    value = (test.only_first - test.only_second) / len(first)
    return Difference(value=value, low=low, high=high, p=test.p_exact, test=NEWCOMBE)


def newcombe10(both: int, only_first: int, only_second: int, neither: int) -> tuple[float, float]:
    """Interval of the difference of two paired proportions: Wilson bounds, squared and added with their correlation."""
    n = both + only_first + only_second + neither
    first, second = (both + only_first) / n, (both + only_second) / n
    (low_1, high_1), (low_2, high_2) = wilson_bounds(both + only_first, n), wilson_bounds(both + only_second, n)
    phi = _corrected_phi(both, only_first, only_second, neither)
    below = _reach(first - low_1, high_2 - second, phi)
    above = _reach(high_1 - first, second - low_2, phi)
    diff = first - second
    return max(-1.0, diff - below), min(1.0, diff + above)


def _reach(x: float, y: float, phi: float) -> float:
    return math.sqrt(max(0.0, x * x - 2 * phi * x * y + y * y))


def _corrected_phi(both: int, only_first: int, only_second: int, neither: int) -> float:
    """Newcombe's continuity-corrected correlation of the two outcomes; 0 when a margin is 0."""
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    if margins == 0:
        return 0.0
    cross = both * neither - only_first * only_second
    half = (both + only_first + only_second + neither) / 2
    return (max(cross - half, 0.0) if cross > 0 else cross) / math.sqrt(margins)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the order given."""
    return [float(p) for p in multipletests(p_values, method="holm")[1]] if p_values else []


def paired_bootstrap(
    positive: Bools,
    first: Bools,
    second: Bools,
    patients: Sequence[str],
    figure: Callable[[Floats], Floats] = balanced_accuracy_values,
) -> Difference | None:
    """Return first minus second of a `figure` of (tn, fp, fn, tp), both computed on the same resampled patients.

    `positive`, the calls `first` and `second`, and `patients` are (n,). None where a system's figure is undefined.
    """
    counts = [patient_counts(positive, called, patients) for called in (first, second)]
    tables = np.concatenate(counts, axis=1)

    def difference(sums: Floats) -> Floats:
        return figure(sums[:, :4]) - figure(sums[:, 4:])

    (value,) = difference(tables.sum(axis=0, keepdims=True))
    estimate = percentile_estimate(float(value), difference(resampled_sums(tables)), f"paired {OVER_PATIENTS}")
    if estimate is None:
        return None
    return Difference(value=estimate.value, low=estimate.low, high=estimate.high, p=None, test=estimate.method)


def patient_counts(positive: Bools, called: Bools, patients: Sequence[str]) -> Floats:
    """Return tn, fp, fn, tp of each patient: float64 (patients, 4)."""
    cells = np.stack([~positive & ~called, ~positive & called, positive & ~called, positive & called], axis=1)
    return patient_sums(cells.astype(np.float64), patients)
