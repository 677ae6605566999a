"""Robustness: a judge and films come in; what each corruption of the films costs goes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrics.estimates import Difference, Estimate, Floats
from metrics.evaluation import evaluate
from metrics.intervals import proportion
from metrics.roc import roc_auc_difference
from train.augmentation.corruptions import CORRUPTIONS, STRENGTHS, corrupt

Film = NDArray[np.uint8]
Judge = Callable[[Film], tuple[Floats, Floats | None]]
"""Films uint8 (n, rows, columns) to logits (n,) and, where the network has them, outlier distances (n,)."""
CLEAN = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Robustness:
    """One corruption at one strength (0: the films as they are).

    Films that the outlier rule refuses still count in the first four. `auc_change` is paired; `flips` is the share of
    films called otherwise than without the corruption; `refused` the share refused, None without a rule.
    """

    corruption: str
    strength: int
    n: int
    roc_auc: Estimate | None
    auc_change: Difference | None
    sensitivity: Estimate | None
    specificity: Estimate | None
    flips: Estimate | None
    refused: Estimate | None


def robustness(
    judge: Judge,
    films: Film,
    labels: NDArray[np.int64],
    *,
    operating_logit: float = 0.0,
    outlier_threshold: float | None = None,
    seed: int = 0,
    on_step: Callable[[int, int], None] | None = None,
) -> tuple[Robustness, ...]:
    """The films as they are, then each of CORRUPTIONS at each strength. From logit `anchor` up a film is pneumonia."""
    found = judge(films)
    clean = _Clean(logits=found[0], labels=labels, operating_logit=operating_logit, outlier_threshold=outlier_threshold)
    rows = [_row(CLEAN, 0, found, clean)]
    tasks = [(name, strength) for name in CORRUPTIONS for strength in STRENGTHS]
    for done, (name, strength) in enumerate(tasks, start=1):
        found = judge(corrupt(films, name, strength, seed=seed))
        rows.append(_row(name, strength, found, clean))
        if on_step:
            on_step(done, len(tasks))
    return tuple(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clean:
    """What every corruption is held against."""

    logits: Floats
    labels: NDArray[np.int64]
    operating_logit: float
    outlier_threshold: float | None


def _row(name: str, strength: int, found: tuple[Floats, Floats | None], clean: _Clean) -> Robustness:
    (logits, distances), labels, before = found, clean.labels, clean.logits
    operating_logit, outlier_threshold = clean.operating_logit, clean.outlier_threshold
    called = logits >= operating_logit
    refused = None
    if distances is not None and outlier_threshold is not None:
        refused = proportion(int((distances > outlier_threshold).sum()), len(labels))
    evaluation = evaluate(labels == 1, logits, called)
    return Robustness(
        corruption=name, strength=strength, n=len(labels),
        roc_auc=evaluation.roc_auc,
        auc_change=roc_auc_difference(labels == 1, logits, before) if strength else None,
        sensitivity=evaluation.sensitivity,
        specificity=evaluation.specificity,
        flips=proportion(int((called != (before >= operating_logit)).sum()), len(labels)),
        refused=refused,
    )  # fmt: skip
