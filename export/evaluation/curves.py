"""Curves: scores or a run's folder come in; ROC and training curves, thinned for drawing, go out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metrics.estimates import Bools, Floats
from metrics.roc import roc_curve
from train.run.trained_run import TrainedRun

ROC_POINTS, BLOCKS = 200, 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Roc:
    """Corners of a ROC curve, and the point of the network's own decision."""

    false_positive: tuple[float, ...]
    true_positive: tuple[float, ...]
    own: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCurve:
    """One seed's training: batches, and accuracy and loss of each, averaged over neighbouring batches."""

    seed: int
    batches: tuple[float, ...]
    accuracy: tuple[float, ...]
    loss: tuple[float, ...]


def roc(positive: Bools, logits: Floats, decided: Bools) -> Roc:
    """Return the ROC curve of images (n,) of both classes."""
    false_positive, true_positive = roc_curve(positive, logits)
    kept = np.unique(np.linspace(0, len(false_positive) - 1, ROC_POINTS).round().astype(int))
    own = float(decided[~positive].mean()), float(decided[positive].mean())
    return Roc(false_positive=_plain(false_positive[kept]), true_positive=_plain(true_positive[kept]), own=own)


def training_curves(run: TrainedRun) -> tuple[TrainingCurve, ...]:
    """Return each finished seed's curve; none where nothing was trained batch by batch. Raises RunError."""
    return tuple(
        TrainingCurve(
            seed=seed,
            batches=_blocks([step.done for step in steps]),
            accuracy=_blocks([step.accuracy for step in steps]),
            loss=_blocks([step.loss for step in steps]),
        )
        for seed, steps in run.histories.items()
        if steps
    )


def _blocks(values: Sequence[float]) -> tuple[float, ...]:
    """Average neighbouring values into at most BLOCKS."""
    parts = np.array_split(np.array(values, np.float64), min(BLOCKS, len(values)))
    return _plain(np.array([part.mean() for part in parts]))


def _plain(values: Floats) -> tuple[float, ...]:
    return tuple(np.round(values, 5).tolist())
