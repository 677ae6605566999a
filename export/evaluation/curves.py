"""Curves: scores or a run's folder come in; ROC and training curves, thinned for drawing, go out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metrics.estimates import Bools, Floats
from metrics.roc import roc_curve
from train.run.run_folder import read_json, seed_folder, seeds_of

ROC_POINTS, BLOCKS = 200, 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Roc:
    """Corners of a ROC curve, and the point of the network's own decision."""

    false_positive: tuple[float, ...]
    true_positive: tuple[float, ...]
    own: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """One seed's training: batches, and accuracy and loss of each, averaged over neighbouring batches."""

    seed: int
    batches: tuple[float, ...]
    accuracy: tuple[float, ...]
    loss: tuple[float, ...]


def roc(positive: Bools, logits: Floats, called: Bools) -> Roc:
    """Of films (n,) of both classes."""
    false_positive, true_positive = roc_curve(positive, logits)
    kept = np.unique(np.linspace(0, len(false_positive) - 1, ROC_POINTS).round().astype(int))
    own = float(called[~positive].mean()), float(called[positive].mean())
    return Roc(false_positive=_plain(false_positive[kept]), true_positive=_plain(true_positive[kept]), own=own)


def training_curves(run: Path) -> tuple[Taught, ...]:
    """Each finished seed's; empty where nothing was trained batch by batch. Raises RunError."""
    found = [(seed, read_json(seed_folder(run, seed) / "history.json")) for seed in seeds_of(run)]
    return tuple(
        Taught(
            seed=seed, batches=_blocks([step["done"] for step in steps]),
            accuracy=_blocks([step["accuracy"] for step in steps]), loss=_blocks([step["loss"] for step in steps]),
        )
        for seed, steps in found
        if steps
    )  # fmt: skip


def _blocks(values: Sequence[float]) -> tuple[float, ...]:
    parts = np.array_split(np.array(values, np.float64), min(BLOCKS, len(values)))
    return _plain(np.array([part.mean() for part in parts]))


def _plain(values: Floats) -> tuple[float, ...]:
    return tuple(np.round(values, 5).tolist())
