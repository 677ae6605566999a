"""Network: a trained network and calibration films come in; its int8 form and how a box reads it go out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from device.inference.backends.engine import build_engine
from train.fitting.edge import empty_edge_network
from train.fitting.int8_features import as_int8, normalized_images
from train.networks.predictor import Predictor, network_input, predict
from train.networks.study_cnn import folded
from train.quantization.converter import output_order, to_int8
from train.quantization.cross_layer_equalization import equalize_for_int8
from train.recipe import StudyNetwork
from train.run.run_folder import SeedRun

Films = NDArray[np.uint8]
STUDY_OUTPUTS = {"kind": "logits2", "logit": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8:
    """A quantized network, and the manifest's `outputs` that say how to read it."""

    tflite: bytes
    outputs: dict[str, Any]


def quantized(run: SeedRun, films: Films) -> Int8:
    """`films` uint8 (n, 224, 224), as preprocessed, set the ranges of the layers."""
    predictor, shown = run.predictor, normalized_images(films, run.predictor.tone)
    tflite = to_int8(unquantized(run, films), shown, mean=predictor.mean)
    if isinstance(run.recipe.network, StudyNetwork):
        return Int8(tflite=tflite, outputs=STUDY_OUTPUTS)
    outputs = evidence_outputs(predictor, output_order(tflite))
    outputs["bias"] += float((predict(predictor, films).logits - predictor.bias - _sums(tflite, outputs, shown)).mean())
    return Int8(tflite=tflite, outputs=outputs)


def unquantized(run: SeedRun, films: Films) -> keras.Model:
    """The trained network in the form that is quantized; calibration `films` tell an edge network's ranges."""
    if isinstance(run.recipe.network, StudyNetwork):
        return folded(run.predictor.network, run.recipe.network, run.recipe.optimizer)
    network = empty_edge_network(run.recipe, tuple(run.operating["evidence_blocks"]))
    network.set_weights(run.predictor.network.get_weights())
    if run.predictor.fake_quantized:
        return network
    inside = network.get_layer("edge_small")
    shown = network_input(films, mean=run.predictor.mean, tone=run.predictor.tone)
    small = np.asarray(network.get_layer("resize")(shown), np.float32)
    equalize_for_int8(inside, small)
    return network


def _sums(tflite: bytes, outputs: dict[str, Any], shown: Films) -> NDArray[np.float64]:
    """Sums (n,) of the int8 network's evidence maps."""
    engine = build_engine(tflite, threads=1, backend="cpu")
    return np.array([engine.run(film[None])[outputs["evidence"]].sum(dtype=np.float64) for film in as_int8(shown)])


def evidence_outputs(predictor: Predictor, order: tuple[int, ...]) -> dict[str, Any]:
    """`order[i]` is where the .tflite has the network's output i: the evidence map first, then the features."""
    evidence, *features = order
    return {"kind": "evidence", "logit": None, "evidence": evidence, "bias": predictor.bias, "features": features}


__all__ = ["Int8", "evidence_outputs", "normalized_images", "quantized", "unquantized"]
