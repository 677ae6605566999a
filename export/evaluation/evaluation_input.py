"""Evaluation input: a run's network on a box comes in; what the box predicts of chosen images goes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.bundle.manifest import ModelDescription
from device.inference.classifier import Classifier
from export.int8.predictions import HeldOutPredictions, PredictionsByName
from metrics.estimates import Estimate
from metrics.intervals import proportion
from metrics.subgroups import Predictions, age_bands
from train.calibration.methods import apply_calibration
from train.data.dataset import LabelledImages
from train.data.selection import select
from train.networks.predictor import ModelOutputs
from train.run.trained_run import TrainedRun


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationInput:
    """What is evaluated: a run's network on a box. `baseline` is another run's folder, or None."""

    run: TrainedRun
    model: ModelDescription
    classifier: Classifier
    predictions: PredictionsByName
    baseline: Path | None = None

    @property
    def outlier_threshold(self) -> float | None:
        """None: every image is classified."""
        return None if self.model.outliers is None else self.model.outliers.threshold

    def predicted(self, predictions: HeldOutPredictions, chosen: NDArray[np.bool_]) -> Predictions:
        """Return what the box predicts of the `chosen` images (n,)."""
        dataset, logits = select(predictions.dataset, chosen), predictions.int8.logits[chosen]
        refusals = refused(predictions.int8, self.outlier_threshold)
        return Predictions(
            positive=dataset.labels == 1,
            patients=dataset.patients,
            logits=logits,
            probabilities=apply_calibration(self.run.operating.calibration, logits),
            called=logits >= self.run.operating_logit,
            refused=None if refusals is None else refusals[chosen],
        )


def refused(outputs: ModelOutputs, threshold: float | None) -> NDArray[np.bool_] | None:
    """Return which images (n,) the out-of-distribution check refuses; None without a check.

    As on a box, a distance that is not a number is refused too.
    """
    if threshold is None or outputs.distances is None:
        return None
    return ~(outputs.distances <= threshold)


def refused_share(predicted: Predictions) -> Estimate | None:
    """Return the share of images that the out-of-distribution check refuses; None without a check."""
    return None if predicted.refused is None else proportion(int(predicted.refused.sum()), len(predicted.refused))


def subgroup_columns(dataset: LabelledImages) -> dict[str, Sequence[str]]:
    """Return the columns that images are grouped by."""
    return {
        "source": dataset.sources,
        "tier": tuple(dataset.table["tier"]),
        "view": tuple(dataset.table["view"]),
        "sex": tuple(dataset.table["sex"]),
        "age": age_bands(dataset.ages),
    }
