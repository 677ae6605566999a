"""Confusion matrix: the counts of two classes and two calls, and every figure of them with its 95 % interval.

Sources: Hand, Christen and Kirielle (2021, Machine Learning 110:451) for F* = TP/(TP+FP+FN), of which F1 = 2F*/(1+F*)
is a monotone transform; `metrics.intervals` names those of Wilson's interval and of square-and-add.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from metrics.estimates import Bools, Estimate, Floats
from metrics.intervals import proportion, square_and_add, wilson_bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusionMatrix:
    """Counts of cases: true negatives, false positives, false negatives and true positives."""

    tn: int
    fp: int
    fn: int
    tp: int

    @classmethod
    def from_calls(cls, positive: Bools, called: Bools) -> ConfusionMatrix:
        """Count `called` (n,), whether each case was called positive, against `positive` (n,), its class."""
        return cls(
            tn=int((~positive & ~called).sum()),
            fp=int((~positive & called).sum()),
            fn=int((positive & ~called).sum()),
            tp=int((positive & called).sum()),
        )

    @property
    def n(self) -> int:
        """All cases."""
        return self.tn + self.fp + self.fn + self.tp

    @property
    def positives(self) -> int:
        """Cases of the positive class."""
        return self.tp + self.fn

    @property
    def negatives(self) -> int:
        """Cases of the negative class."""
        return self.tn + self.fp


def accuracy(matrix: ConfusionMatrix) -> Estimate | None:
    """(TP+TN)/n; None without cases."""
    return proportion(matrix.tp + matrix.tn, matrix.n)


def precision(matrix: ConfusionMatrix) -> Estimate | None:
    """TP/(TP+FP), the positive predictive value; None without a positive call."""
    return proportion(matrix.tp, matrix.tp + matrix.fp)


def sensitivity(matrix: ConfusionMatrix) -> Estimate | None:
    """TP/(TP+FN), also called recall; None without a positive case."""
    return proportion(matrix.tp, matrix.positives)


def specificity(matrix: ConfusionMatrix) -> Estimate | None:
    """TN/(TN+FP); None without a negative case."""
    return proportion(matrix.tn, matrix.negatives)


def npv(matrix: ConfusionMatrix) -> Estimate | None:
    """TN/(TN+FN), the negative predictive value; None without a negative call."""
    return proportion(matrix.tn, matrix.tn + matrix.fn)


def f1(matrix: ConfusionMatrix) -> Estimate | None:
    """2TP/(2TP+FP+FN); None where that is 0/0.

    TP is binomial among the TP+FP+FN, so Wilson's interval of F* is carried over to F1.
    """
    total = matrix.tp + matrix.fp + matrix.fn
    if total == 0:
        return None
    low, high = (2 * bound / (1 + bound) for bound in wilson_bounds(matrix.tp, total))
    value = 2 * matrix.tp / (2 * matrix.tp + matrix.fp + matrix.fn)
    return Estimate(value=value, low=min(low, value), high=max(high, value), method="wilson of F* = F1/(2-F1)")


def balanced_accuracy(matrix: ConfusionMatrix) -> Estimate | None:
    """(sensitivity + specificity)/2; None without both classes.

    It is also the area under the one-point ROC curve, which some papers call AUC.
    """
    if not matrix.positives or not matrix.negatives:
        return None
    rates = (matrix.tp, matrix.positives), (matrix.tn, matrix.negatives)
    return square_and_add(lambda sensitivity, specificity: (sensitivity + specificity) / 2, *rates, floor=0.0)


def mcc(matrix: ConfusionMatrix) -> Estimate | None:
    """Matthews correlation coefficient, with the prevalence held as observed; None when a margin is 0."""
    called = matrix.tp + matrix.fp
    if not matrix.positives or not matrix.negatives or called in (0, matrix.n):
        return None
    prevalence = matrix.positives / matrix.n

    def of(sensitivity: float, specificity: float) -> float:
        rate = prevalence * sensitivity + (1 - prevalence) * (1 - specificity)
        spread = math.sqrt(rate * (1 - rate))
        return math.sqrt(prevalence * (1 - prevalence)) * (sensitivity + specificity - 1) / spread if spread else 0.0

    rates = (matrix.tp, matrix.positives), (matrix.tn, matrix.negatives)
    return square_and_add(of, *rates, floor=-1.0)


def figures(matrix: ConfusionMatrix) -> Mapping[str, Estimate | None]:
    """Return every figure of the four counts by name."""
    functions = (accuracy, precision, sensitivity, specificity, npv, f1, balanced_accuracy, mcc)
    return {function.__name__: function(matrix) for function in functions}


def f1_values(counts: Floats) -> Floats:
    """Return F1 of each row of `counts` (k, 4), which are tn, fp, fn, tp: (k,), NaN where undefined."""
    _, fp, fn, tp = counts.T
    return _ratio(2 * tp, 2 * tp + fp + fn)


def balanced_accuracy_values(counts: Floats) -> Floats:
    """Return the balanced accuracy of each row of `counts` (k, 4), as `f1_values`."""
    tn, fp, fn, tp = counts.T
    return (_ratio(tp, tp + fn) + _ratio(tn, tn + fp)) / 2


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
