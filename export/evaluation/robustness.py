"""Robustness: a classifier and images come in; what each corruption of the images costs goes out."""

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

Images = NDArray[np.uint8]
Classify = Callable[[Images], tuple[Floats, Floats | None]]
"""Images uint8 (n, rows, columns) to logits (n,) and, where the network has them, outlier distances (n,)."""
CLEAN = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Robustness:
    """One corruption at one strength (0: the images as they are).

    Images that the out-of-distribution check refuses still count, except in `refused`, which is None without a check.
    `auc_change` is paired; `flips` is the share of images whose decision differs from that without the corruption.
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
    classify: Classify,
    images: Images,
    labels: NDArray[np.int64],
    *,
    operating_logit: float = 0.0,
    outlier_threshold: float | None = None,
    seed: int = 0,
    on_step: Callable[[int, int], None] | None = None,
) -> tuple[Robustness, ...]:
    """Measure the images as they are, then each of CORRUPTIONS at each strength.

    From logit `operating_logit` up an image is classified as pneumonia.
    """
    outputs = classify(images)
    clean = _Clean(
        logits=outputs[0], labels=labels, operating_logit=operating_logit, outlier_threshold=outlier_threshold
    )
    rows = [clean.compare(CLEAN, 0, outputs)]
    tasks = [(name, strength) for name in CORRUPTIONS for strength in STRENGTHS]
    for done, (name, strength) in enumerate(tasks, start=1):
        outputs = classify(corrupt(images, name, strength, seed=seed))
        rows.append(clean.compare(name, strength, outputs))
        if on_step:
            on_step(done, len(tasks))
    return tuple(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clean:
    """What every corruption is compared with."""

    logits: Floats
    labels: NDArray[np.int64]
    operating_logit: float
    outlier_threshold: float | None

    def compare(self, name: str, strength: int, outputs: tuple[Floats, Floats | None]) -> Robustness:
        """Measure the logits (n,) and distances (n,) of the corrupted images against the clean ones."""
        logits, distances = outputs
        positive, decided = self.labels == 1, logits >= self.operating_logit
        flips = decided != (self.logits >= self.operating_logit)
        refused = None
        if distances is not None and self.outlier_threshold is not None:
            refused = proportion(int((distances > self.outlier_threshold).sum()), len(positive))
        evaluation = evaluate(positive, logits, decided)
        return Robustness(
            corruption=name,
            strength=strength,
            n=len(positive),
            roc_auc=evaluation.roc_auc,
            auc_change=roc_auc_difference(positive, logits, self.logits) if strength else None,
            sensitivity=evaluation.sensitivity,
            specificity=evaluation.specificity,
            flips=proportion(int(flips.sum()), len(positive)),
            refused=refused,
        )
