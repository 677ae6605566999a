"""Proof: held-out films, a trained network and a box's classifier come in; what both say of each film goes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.inference.classifier import Classifier
from export.int8.box_predictions import judged
from train.data.dataset import LabelledImages
from train.networks.predictor import ModelOutputs, Predictor, predict

Progress = Callable[[str, int, int], None]
"""Told of what is done, how far, and of how much."""
Proofs = Mapping[str, "Proof"]
"""By part of the run (`test`, `operating`), then by file name of further manifests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One set of held-out films, and what Keras and the box say of them."""

    films: LabelledImages
    keras: ModelOutputs
    int8: ModelOutputs


def silent(_what: str, _done: int, _of: int) -> None:
    """Nobody watches."""


def proven(
    predictor: Predictor, classifier: Classifier, sets: Mapping[str, LabelledImages], *, on_progress: Progress = silent
) -> dict[str, Proof]:
    """Each set judged by both."""
    found = {}
    for done, (name, films) in enumerate(sets.items(), start=1):
        found[name] = Proof(
            films=films, keras=predict(predictor, films.images), int8=judged(classifier, films.images)
        )  # fmt: skip
        on_progress("judging held-out films", done, len(sets))
    return found


def refused(said: ModelOutputs, threshold: float | None) -> NDArray[np.bool_] | None:
    """Which films the outlier rule refuses, (n,), as a box does: also where the distance is no number."""
    if threshold is None or said.distances is None:
        return None
    return ~(said.distances <= threshold)
