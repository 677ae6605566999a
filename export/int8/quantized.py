"""Quantize: a trained run comes in; its int8 network, and how to read that network's outputs, go out."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from console.errors import ExpectedError
from device.bundle.manifest import OutputSpec
from device.inference.backends.engine import build_engine
from export.int8.audit import Audit, audit, compile_for_coral
from train.fitting.train_network import empty_edge_network
from train.networks.predictor import at_input_size, network_input, predict
from train.networks.study_cnn import folded
from train.quantization.converter import output_order, to_int8
from train.quantization.cross_layer_equalization import equalize_for_int8
from train.recipe import StudyNetwork
from train.run.trained_run import TrainedRun


class ExportError(ExpectedError):
    """The network must not run on a box; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Network:
    """A quantized network, the manifest's `outputs`, which say how to read it, and its audit.

    `compiled` is the network for Coral, None where the Edge TPU's compiler is not installed.
    """

    tflite: bytes
    outputs: OutputSpec
    audit: Audit
    compiled: bytes | None


def quantize(run: TrainedRun) -> Int8Network:
    """Quantize the run's network to full int8, audit it, and compile it for Coral.

    Raises ExportError for a network that does not run on every board, CompileError.
    """
    tflite, outputs = _converted(run)
    audited = audit(tflite)
    if not audited.passed:
        raise ExportError(f"the quantized network does not run on every board: {'; '.join(audited.all_objections)}")
    return Int8Network(tflite=tflite, outputs=outputs, audit=audited, compiled=compile_for_coral(tflite))


def _converted(run: TrainedRun) -> tuple[bytes, OutputSpec]:
    """Convert the network; the run's calibration images set the ranges of its layers.

    The bias of an evidence network is corrected by the mean difference of the logits on those images.
    """
    predictor = run.predictor
    images = at_input_size(predictor.network, run.calibration_images.images)
    tflite = to_int8(float_network(run), images, mean=predictor.mean)
    if isinstance(run.recipe.network, StudyNetwork):
        return tflite, OutputSpec(kind="logits2", logit=0)
    # The network's outputs are the evidence map and then the features; the converter may have changed their order.
    evidence, *features = output_order(tflite)
    engine = build_engine(tflite, threads=1, backend="cpu")
    levels = (images.astype(np.int16) - 128).astype(np.int8)[..., None]
    sums = np.array([engine.run(image[None])[evidence].sum(dtype=np.float64) for image in levels])
    float_sums = predict(predictor, run.calibration_images.images).logits - predictor.bias
    bias = predictor.bias + float((float_sums - sums).mean())
    return tflite, OutputSpec(kind="evidence", logit=None, evidence=evidence, bias=bias, features=tuple(features))


def float_network(run: TrainedRun) -> keras.Model:
    """Return the trained network in the form that is quantized, with equalized layers where int8 needs them."""
    if isinstance(run.recipe.network, StudyNetwork):
        return folded(run.predictor.network, run.recipe.network, run.recipe.optimizer)
    network = empty_edge_network(run.recipe)
    network.set_weights(run.predictor.network.get_weights())
    images = at_input_size(network, run.calibration_images.images)
    equalize_for_int8(network, network_input(images, mean=run.predictor.mean))
    return network
