"""Intervals: counts of a confusion matrix come in; estimates with 95 % intervals go out, or None where undefined.

Sources: Wilson (1927, JASA 22:209) for proportions; square-and-add, also called MOVER (Newcombe 1998, Stat Med 17:873;
Zou and Donner 2008, Stat Med 27:1693) for functions of sensitivity and specificity; Hand, Christen and Kirielle (2021,
Machine Learning 110:451) for F* = TP/(TP+FP+FN), of which F1 = 2F*/(1+F*) is a monotone transform.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.proportion import proportion_confint

from metrics.values import Estimate, Matrix

ALPHA = 0.05
WILSON = "wilson"
_CHUNK = 4_000_000


def wilson_bounds(count: float, total: int) -> tuple[float, float]:
    """Wilson score interval of a proportion; `total` above 0. Held to contain the proportion despite rounding."""
    low, high = proportion_confint(count, total, alpha=ALPHA, method="wilson")
    return max(0.0, min(float(low), count / total)), min(1.0, max(float(high), count / total))


def proportion(count: int, total: int) -> Estimate | None:
    """`count` of `total` with the Wilson interval; None for 0 of 0."""
    if total == 0:
        return None
    low, high = wilson_bounds(count, total)
    return Estimate(value=count / total, low=low, high=high, method=WILSON)


def f1(matrix: Matrix) -> Estimate | None:
    """2TP/(2TP+FP+FN). TP is binomial among the TP+FP+FN, so Wilson's interval of F* is carried over to F1."""
    total = matrix.tp + matrix.fp + matrix.fn
    if total == 0:
        return None
    low, high = (2 * bound / (1 + bound) for bound in wilson_bounds(matrix.tp, total))
    value = 2 * matrix.tp / (2 * matrix.tp + matrix.fp + matrix.fn)
    return Estimate(value=value, low=min(low, value), high=max(high, value), method="wilson of F* = F1/(2-F1)")


def balanced_accuracy(matrix: Matrix) -> Estimate | None:
    """(sensitivity + specificity)/2: also the area under the one-point ROC curve, which some papers call AUC."""
    if not matrix.positives or not matrix.negatives:
        return None
    return _square_and_add(matrix, lambda sensitivity, specificity: (sensitivity + specificity) / 2, floor=0.0)


def mcc(matrix: Matrix) -> Estimate | None:
    """Matthews correlation coefficient, with the prevalence held as it was observed; None when a margin is 0."""
    called = matrix.tp + matrix.fp
    if not matrix.positives or not matrix.negatives or called in (0, matrix.n):
        return None
    prevalence = matrix.positives / matrix.n

    def of(sensitivity: float, specificity: float) -> float:
        rate = prevalence * sensitivity + (1 - prevalence) * (1 - specificity)
        spread = math.sqrt(rate * (1 - rate))
        return math.sqrt(prevalence * (1 - prevalence)) * (sensitivity + specificity - 1) / spread if spread else 0.0

    return _square_and_add(matrix, of, floor=-1.0)


def _square_and_add(matrix: Matrix, of: Callable[[float, float], float], *, floor: float) -> Estimate:
    """`of` rises with both; each one's Wilson bound moves it by some distance, and the distances add as squares."""
    sensitivity, specificity = matrix.tp / matrix.positives, matrix.tn / matrix.negatives
    value = of(sensitivity, specificity)
    reach = [
        math.hypot(value - of(a, specificity), value - of(sensitivity, b))
        for a, b in zip(
            wilson_bounds(matrix.tp, matrix.positives), wilson_bounds(matrix.tn, matrix.negatives), strict=True
        )
    ]
    low, high = max(floor, value - reach[0]), min(1.0, value + reach[1])
    return Estimate(value=value, low=low, high=high, method="square-and-add of wilson (MOVER)")


def brier(positive: NDArray[np.bool_], score: NDArray[np.float64], *, resamples: int, seed: int) -> Estimate | None:
    """Mean squared distance of score and truth, seeded percentile bootstrap; None when a score is no probability."""
    if not len(score) or score.min() < 0 or score.max() > 1:
        return None
    errors = (score - positive) ** 2
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK // len(errors))
    means = [
        errors[generator.integers(0, len(errors), (min(step, resamples - start), len(errors)))].mean(axis=1)
        for start in range(0, resamples, step)
    ]
    value = float(errors.mean())
    low, high = (float(bound) for bound in np.quantile(np.concatenate(means), [ALPHA / 2, 1 - ALPHA / 2]))
    method = f"percentile bootstrap, {resamples} resamples, seed {seed}"
    return Estimate(value=value, low=min(low, value), high=max(high, value), method=method)
