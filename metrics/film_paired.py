"""Paired: what two networks say of the same films comes in; whether they differ goes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from metrics.evaluate import balanced_accuracy, patient_tables
from metrics.film_intervals import (
    Z95,
    Floats,
    Interval,
    Labels,
    delong_parts,
    percentile_interval,
    resampled_sums,
)

Decisions = NDArray[np.bool_]
TINY = 1e-12
"""Least standard error: scores that order the films alike differ by nothing, and p is 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedAuc:
    """ROC AUC of two scores on the same films; `difference` is the first minus the second."""

    first: float
    second: float
    difference: Interval
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """Films that only the first, and only the second, called rightly; two-sided p-values."""

    only_first: int
    only_second: int
    p_exact: float
    p_mid: float


def delong_test(labels: Labels, first: Floats, second: Floats) -> PairedAuc | None:
    """DeLong, DeLong and Clarke-Pearson (1988) on scores (n,), two-sided. None with fewer than two films of a class.

    Films count as independent: with several films of a patient, see `paired_bootstrap` too.
    """
    if min(int(labels.sum()), int((1 - labels).sum())) < 2:
        return None
    parts = [delong_parts(labels, scores) for scores in (first, second)]
    (auc, above, below), (other, other_above, other_below) = parts
    diseased, healthy = above - other_above, below - other_below
    error = float(np.sqrt(np.var(diseased, ddof=1) / len(diseased) + np.var(healthy, ddof=1) / len(healthy)))
    gap = auc - other
    p_value = float(2 * norm.sf(abs(gap) / max(error, TINY)))
    difference = Interval(value=gap, low=gap - Z95 * error, high=gap + Z95 * error, method="delong, paired")
    return PairedAuc(first=auc, second=other, difference=difference, p_value=p_value)


def mcnemar(labels: Labels, first: Decisions, second: Decisions) -> McNemar:
    """McNemar (1947), exact, and the mid-p form (Fagerland et al. 2013), which keeps its level and finds more."""
    right, other = first == (labels == 1), second == (labels == 1)
    only_first, only_second = int((right & ~other).sum()), int((~right & other).sum())
    count, fewer = only_first + only_second, min(only_first, only_second)
    tail = float(binom.cdf(fewer, count, 0.5))
    exact = min(1.0, 2 * tail)
    # Equal counts: Fagerland et al. take half of the middle's probability from 1.
    mid = 2 * tail - float(binom.pmf(fewer, count, 0.5)) if only_first != only_second else 1.0 - _middle(count)
    return McNemar(only_first=only_first, only_second=only_second, p_exact=exact, p_mid=min(1.0, mid))


def _middle(count: int) -> float:
    return float(binom.pmf(count // 2, count, 0.5)) / 2 if count else 0.0


def paired_bootstrap(
    labels: Labels,
    first: Decisions,
    second: Decisions,
    patients: Sequence[str],
    figure: Callable[[Floats], Floats] = balanced_accuracy,
) -> Interval:
    """First minus second of a `figure` of (tn, fp, fn, tp), both read on the same patients drawn with replacement."""
    tables = np.concatenate([patient_tables(labels, decided, patients) for decided in (first, second)], axis=1)

    def gap(sums: Floats) -> Floats:
        return figure(sums[:, :4]) - figure(sums[:, 4:])

    (value,) = gap(tables.sum(axis=0, keepdims=True))
    return percentile_interval(float(value), gap(resampled_sums(tables)), "paired bootstrap over patients")
