"""Predict: a run and a box's classifier come in; the outputs of both networks for held-out images go out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.inference.classifier import Classifier
from export.int8.held_out import FurtherDataset, load_held_out
from train.data.dataset import LabelledImages
from train.networks.predictor import ModelOutputs, predict
from train.run.trained_run import TrainedRun

Progress = Callable[[str, int, int], None]
"""Called with the task, the steps done and the steps in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutPredictions:
    """One set of held-out images, and the outputs of the Keras network and of the box for each of them."""

    dataset: LabelledImages
    keras: ModelOutputs
    int8: ModelOutputs


PredictionsByName = Mapping[str, HeldOutPredictions]
"""By part of the run (`test`, `operating`), then by file name of further manifests."""


def no_progress(_task: str, _done: int, _total: int) -> None:
    """Report nothing."""


def predict_held_out(
    run: TrainedRun,
    classifier: Classifier,
    images: Path | None,
    further: Sequence[FurtherDataset],
    *,
    on_progress: Progress = no_progress,
) -> dict[str, HeldOutPredictions] | None:
    """Return the predictions of both networks for each held-out dataset; None where the run's images are missing.

    Raises RunError for changed images, ManifestError. See `export.int8.held_out.load_held_out`.
    """
    datasets = load_held_out(run, images, further)
    if datasets is None:
        return None
    predictions = {}
    for done, (name, dataset) in enumerate(datasets.items(), start=1):
        predictions[name] = HeldOutPredictions(
            dataset=dataset,
            keras=predict(run.predictor, dataset.images),
            int8=box_outputs(classifier, dataset.images),
        )
        on_progress("classifying held-out images", done, len(datasets))
    return predictions


def box_outputs(classifier: Classifier, images: NDArray[np.uint8]) -> ModelOutputs:
    """Return what a box's classifier answers for `images` uint8 (n, 224, 224).

    Evidence maps and out-of-distribution distances are None where the network has none.
    """
    scores = [classifier.classify(image) for image in images]
    maps = [score.evidence for score in scores if score.evidence is not None]
    distances = [score.distance for score in scores if score.distance is not None]
    return ModelOutputs(
        logits=np.array([score.logit for score in scores], np.float64),
        evidence=np.stack(maps) if maps else None,
        distances=np.array(distances, np.float64) if distances else None,
    )
