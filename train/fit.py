"""Fit: a recipe, a seed and films come in; trained weights and their history go out.

The same recipe, seed and films give the same weights on the same machine and versions: operations are deterministic
and all randomness flows from the seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from train.augment import augmentation
from train.data import Films
from train.model import GREY_MAX, build, sgdm
from train.recipe import Recipe

SCORE_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One batch: `epoch` from 1, `done` of `steps` batches of the whole run, and the batch's own figures."""

    epoch: int
    done: int
    steps: int
    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A trained network. `mean` is the grey value it takes for zero; `history` one entry per batch."""

    network: keras.Model
    mean: float
    history: list[Step] = field(default_factory=list)


def fit(recipe: Recipe, films: Films, seed: int, *, on_step: Callable[[Step], None] = lambda _: None) -> Trained:
    """Train one network from scratch. On a machine with several GPUs each takes a share of every batch."""
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy("mixed_float16" if recipe.mixed_precision else "float32")
    mean = grey_mean(films.images)
    with strategy().scope():
        network = build(recipe.network, recipe.optimizer, shape=(*films.images.shape[1:], 1))
        network.compile(
            optimizer=sgdm(recipe.optimizer),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        )
    recorder = _Recorder(recipe.epochs * steps_per_epoch(recipe, len(films)), on_step)
    batches = training_batches(recipe, films, seed, mean)
    network.fit(batches, epochs=recipe.epochs, shuffle=False, verbose=0, callbacks=[recorder])
    return Trained(network=network, mean=mean, history=recorder.history)


def grey_mean(images: NDArray[np.uint8]) -> float:
    """The training films' mean grey, to a whole grey value, so that int8 represents it exactly."""
    return float(round(float(images.mean(dtype=np.float64))))


def steps_per_epoch(recipe: Recipe, count: int) -> int:
    """Batches of one epoch."""
    return count // recipe.batch_size if recipe.drop_remainder else -(-count // recipe.batch_size)


def strategy() -> tf.distribute.Strategy:
    """All GPUs of the machine, or its one device. Written for several GPUs; run by the authors on CPUs only."""
    return (
        tf.distribute.MirroredStrategy()
        if len(tf.config.list_physical_devices("GPU")) > 1
        else tf.distribute.get_strategy()
    )


def training_batches(recipe: Recipe, films: Films, seed: int, mean: float) -> tf.data.Dataset:
    """Batches of (float32 films, labels). Kept as uint8 and cast after batching: a quarter of the memory."""
    order = np.arange(len(films))
    if recipe.shuffle != "never":
        order = np.random.default_rng(seed).permutation(order)
    data = tf.data.Dataset.from_tensor_slices((films.images[order][..., None], films.labels[order]))
    if recipe.shuffle == "every-epoch":
        data = data.shuffle(len(films), seed=seed, reshuffle_each_iteration=True)
    change = augmentation(recipe.augment)
    data = data.batch(recipe.batch_size, drop_remainder=recipe.drop_remainder)
    return data.map(lambda x, y: ((change(tf.cast(x, tf.float32)) - mean) / GREY_MAX, y)).prefetch(2)


def scored(network: keras.Model, images: NDArray[np.uint8], mean: float) -> NDArray[np.float64]:
    """The logit of pneumonia against normal, float64 (n,), for films uint8 (n, rows, columns)."""
    parts = [np.zeros(0)]
    for start in range(0, len(images), SCORE_BATCH):
        batch = (images[start : start + SCORE_BATCH].astype(np.float32)[..., None] - np.float32(mean)) / np.float32(
            GREY_MAX
        )
        logits = np.asarray(network(batch, training=False), np.float64)
        parts.append(logits[:, 1] - logits[:, 0])
    return np.concatenate(parts)


class _Recorder(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Writes down each batch's own loss and accuracy, as the study's training figure shows them."""

    def __init__(self, steps: int, on_step: Callable[[Step], None]) -> None:
        super().__init__()
        self.history: list[Step] = []
        self._steps = steps
        self._on_step = on_step
        self._epoch = 0
        self._in_epoch = 0
        self._sums = (0.0, 0.0)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keras counts epochs from 0."""
        del logs
        self._epoch, self._in_epoch, self._sums = epoch + 1, 0, (0.0, 0.0)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Keras reports running means over the epoch; the batch's own value is their increment."""
        del batch
        found = logs or {}
        before, count = self._sums, self._in_epoch + 1
        self._sums = (float(found["loss"]) * count, float(found["accuracy"]) * count)
        self._in_epoch = count
        step = Step(
            epoch=self._epoch,
            done=len(self.history) + 1,
            steps=self._steps,
            loss=self._sums[0] - before[0],
            accuracy=self._sums[1] - before[1],
        )
        self.history.append(step)
        self._on_step(step)
