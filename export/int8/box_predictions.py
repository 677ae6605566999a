"""Judged: a box's classifier and films come in; what it answers of each goes out, as a trained network would say it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from device.inference.classifier import Classifier
from train.networks.predictor import ModelOutputs


def judged(classifier: Classifier, films: NDArray[np.uint8]) -> ModelOutputs:
    """Logits, and where the network has them evidence and distances, of `films` uint8 (n, 224, 224)."""
    scores = [classifier.classify(film) for film in films]
    maps = [score.evidence for score in scores if score.evidence is not None]
    far = [score.distance for score in scores if score.distance is not None]
    return ModelOutputs(
        logits=np.array([score.logit for score in scores], np.float64),
        evidence=np.stack(maps) if maps else None,
        distances=np.array(far, np.float64) if far else None,
    )
