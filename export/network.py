"""Network: a trained network and calibration films come in; its int8 form and how a box reads it go out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from device.tone import Tone, in_tone
from export.quantize import output_order, to_int8
from train.model import folded
from train.recipe import StudyNetwork
from train.run import SeedRun
from train.trained import Trained

Films = NDArray[np.uint8]
STUDY_OUTPUTS = {"kind": "logits2", "logit": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8:
    """A quantized network, and the manifest's `outputs` that say how to read it."""

    tflite: bytes
    outputs: dict[str, Any]


def quantized(run: SeedRun, films: Films) -> Int8:
    """`films` uint8 (n, 224, 224), as preprocessed, set the ranges of the layers."""
    trained = run.trained
    tflite = to_int8(unquantized(run, films), toned(films, trained.tone), mean=trained.mean)
    if isinstance(run.recipe.network, StudyNetwork):
        return Int8(tflite=tflite, outputs=STUDY_OUTPUTS)
    return Int8(tflite=tflite, outputs=evidence_outputs(trained, output_order(tflite)))


def unquantized(run: SeedRun, _films: Films) -> keras.Model:
    """The trained network in the form that is quantized."""
    if isinstance(run.recipe.network, StudyNetwork):
        return folded(run.trained.network, run.recipe.network, run.recipe.optimizer)
    return run.trained.network


def toned(films: Films, tone: Tone) -> Films:
    """`films` uint8 (n, rows, columns) as the network is to see them."""
    return np.stack([in_tone(film, tone) for film in films])


def evidence_outputs(trained: Trained, order: tuple[int, ...]) -> dict[str, Any]:
    """`order[i]` is where the .tflite has the network's output i: the evidence map first, then the features."""
    evidence, *features = order
    return {"kind": "evidence", "logit": None, "evidence": evidence, "bias": trained.bias, "features": features}


__all__ = ["Int8", "evidence_outputs", "quantized", "toned", "unquantized"]
