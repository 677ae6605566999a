"""Evaluation: the figures of one classifier on one set of images, decided at one threshold."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from metrics.confusion import ConfusionMatrix, figures
from metrics.estimates import Bools, Estimate, Floats
from metrics.roc import roc_auc

MEASURES = ("accuracy", "sensitivity", "specificity", "precision", "f1", "balanced_accuracy", "roc_auc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The four counts and the MEASURES, None where the images do not define one."""

    n: int
    tn: int
    fp: int
    fn: int
    tp: int
    accuracy: Estimate | None
    sensitivity: Estimate | None
    specificity: Estimate | None
    precision: Estimate | None
    f1: Estimate | None
    balanced_accuracy: Estimate | None
    roc_auc: Estimate | None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return asdict(self)


def evaluate(positive: Bools, scores: Floats, called: Bools) -> Evaluation:
    """Evaluate the calls `called` and the `scores`, which only rank the images, against `positive`; all (n,).

    `balanced_accuracy`, (sensitivity + specificity) / 2, is what the study prints as its AUC; `roc_auc` is the area
    under the whole curve.
    """
    matrix = ConfusionMatrix.from_calls(positive, called)
    counted = figures(matrix)
    return Evaluation(
        n=matrix.n,
        tn=matrix.tn,
        fp=matrix.fp,
        fn=matrix.fn,
        tp=matrix.tp,
        **{name: counted[name] for name in MEASURES if name != "roc_auc"},
        roc_auc=roc_auc(positive, scores),
    )
