"""Evaluate: labels, scores and patients come in; the study's measures with confidence intervals go out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.film_intervals import (
    Floats,
    Interval,
    Labels,
    bootstrap,
    delong,
    wilson,
)

MEASURES = (
    "accuracy", "sensitivity", "specificity", "precision", "f1", "balanced_accuracy", "roc_auc",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One network on one set of films, decided at one threshold."""

    n: int
    tn: int
    fp: int
    fn: int
    tp: int
    accuracy: Interval
    sensitivity: Interval
    specificity: Interval
    precision: Interval
    f1: Interval
    balanced_accuracy: Interval
    roc_auc: Interval

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return asdict(self)


def evaluate(labels: Labels, scores: Floats, decided: NDArray[np.bool_], patients: Sequence[str]) -> Evaluation:
    """`decided` says which films are called pneumonia; `scores` (n,) only order the films, for the ROC.

    `balanced_accuracy`, (sensitivity + specificity) / 2, is what the study prints as its AUC; `roc_auc` is the area
    under the whole curve.
    """
    tables = patient_tables(labels, decided, patients)
    tn, fp, fn, tp = (int(count) for count in tables.sum(axis=0))
    return Evaluation(
        n=len(labels), tn=tn, fp=fp, fn=fn, tp=tp,
        accuracy=wilson(tn + tp, len(labels)),
        sensitivity=wilson(tp, tp + fn),
        specificity=wilson(tn, tn + fp),
        precision=wilson(tp, tp + fp),
        f1=bootstrap(f1, tables),
        balanced_accuracy=bootstrap(balanced_accuracy, tables),
        roc_auc=delong(labels, scores),
    )  # fmt: skip


def patient_tables(labels: Labels, decided: NDArray[np.bool_], patients: Sequence[str]) -> Floats:
    """(tn, fp, fn, tp) of each patient, float64 (patients, 4)."""
    _, index = np.unique(np.array(patients), return_inverse=True)
    tables = np.zeros((index.max() + 1, 4))
    np.add.at(tables, (index, 2 * labels + decided.astype(np.int64)), 1.0)
    return tables


def f1(tables: Floats) -> Floats:
    """2 tp / (2 tp + fp + fn), of (k, 4)."""
    _, fp, fn, tp = tables.T
    return _ratio(2 * tp, 2 * tp + fp + fn)


def balanced_accuracy(tables: Floats) -> Floats:
    """(tp / (tp + fn) + tn / (tn + fp)) / 2, of (k, 4)."""
    tn, fp, fn, tp = tables.T
    return (_ratio(tp, tp + fn) + _ratio(tn, tn + fp)) / 2


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
