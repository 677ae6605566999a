"""Train toy networks with every batch spread over two logical processors, and write what they give to an .npz.

A program of its own, because logical processors are configured before TensorFlow starts.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.support.toy_images import RECIPE
from train.data.dataset import LabelledImages, load_dataset
from train.fitting import fine_tune, from_scratch
from train.fitting.devices import make_deterministic, strategy
from train.networks.predictor import Predictor, predict
from train.recipe import Recipe

DEVICES = ("CPU:0", "CPU:1")
STUDY = Recipe.model_validate({**RECIPE, "optimizer": {"learning_rate": 1e-6}})
EDGE = Recipe.model_validate(
    {
        **RECIPE,
        "network": {"architecture": "lite0", "side": 64, "outlier_blocks": [4]},
        "fine_tune": {"passes": 32, "frozen_blocks": 1},
    }
)
shares: list[int] = []


class CountedLoss(keras.losses.SparseCategoricalCrossentropy):
    """Record how many images each processor is given."""

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        tf.numpy_function(lambda count: shares.append(int(count)), [tf.shape(y_true)[0]], [])
        return super().call(y_true, y_pred)


def study(parts: dict[str, LabelledImages]) -> dict[str, Any]:
    keras.losses.SparseCategoricalCrossentropy = CountedLoss
    fitted = from_scratch.fit(STUDY, parts["train"], 1)
    logits = predict(Predictor(network=fitted.network, mean=fitted.mean), parts["test"].images).logits
    weights = {f"weight{index}": value for index, value in enumerate(fitted.network.get_weights())}
    return {**weights, "losses": [step.loss for step in fitted.history], "logits": logits, "shares": shares}


def edge(parts: dict[str, LabelledImages]) -> dict[str, Any]:
    make_deterministic(1)
    tuned = fine_tune.fine_tune(EDGE, parts["train"], 1)
    return {"edge_losses": [step.loss for step in tuned.history], "edge_weight": tuned.weight, "edge_bias": tuned.bias}


def main(folder: Path, out: Path) -> None:
    (processor,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration() for _ in DEVICES])
    used: list[int] = []

    def spread() -> tf.distribute.Strategy:
        mirrored = strategy(DEVICES)
        used.append(mirrored.num_replicas_in_sync)
        return mirrored

    from_scratch.strategy = fine_tune.strategy = spread  # type: ignore[attr-defined]
    parts = load_dataset(folder / "manifest.csv", folder, STUDY.data)
    np.savez(out, **study(parts), **edge(parts), used=used)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
