"""Train the study's network from scratch.

The same recipe, seed and images give the same weights on the same machine and versions: operations are deterministic
and all randomness flows from the seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from train.augmentation.training import augmented
from train.data.dataset import LabelledImages
from train.fitting.devices import make_deterministic, precision, strategy
from train.fitting.history import Step, StepRecorder
from train.networks.study_cnn import GREY_MAX, build, sgdm
from train.recipe import Recipe, StudyNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A trained network. `mean` is the grey value it takes for zero; `history` one entry per batch."""

    network: keras.Model
    mean: float
    history: list[Step] = field(default_factory=list)


def fit(
    recipe: Recipe, dataset: LabelledImages, seed: int, *, on_step: Callable[[Step], None] = lambda _: None
) -> Fitted:
    """Train one network from scratch. On a machine with several GPUs each takes a share of every batch."""
    make_deterministic(seed)
    mean, shape = grey_mean(dataset.images), (*dataset.images.shape[1:], 1)
    with precision(mixed=recipe.mixed_precision), strategy().scope():
        network = build(study_network(recipe), recipe.optimizer, shape=shape)
        network.compile(
            optimizer=sgdm(recipe.optimizer),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        )
    recorder = StepRecorder(recipe.epochs * steps_per_epoch(recipe, len(dataset)), on_step)
    batches = training_batches(recipe, dataset, seed, mean)
    network.fit(batches, epochs=recipe.epochs, shuffle=False, verbose=0, callbacks=[recorder])
    # On one device and in float32 again: a network spread over several answers every image once on each.
    plain = build(study_network(recipe), recipe.optimizer, shape=shape)
    plain.set_weights(network.get_weights())
    return Fitted(network=plain, mean=mean, history=recorder.history)


def study_network(recipe: Recipe) -> StudyNetwork:
    """The recipe's network section. Raises TypeError for another kind of network."""
    if not isinstance(recipe.network, StudyNetwork):
        raise TypeError(f"expected a study_cnn network, got {recipe.network.architecture}")
    return recipe.network


def grey_mean(images: NDArray[np.uint8]) -> float:
    """The training images' mean grey, to a whole grey value, so that int8 represents it exactly."""
    return float(round(float(images.mean(dtype=np.float64))))


def steps_per_epoch(recipe: Recipe, count: int) -> int:
    """Batches of one epoch."""
    return count // recipe.batch_size if recipe.drop_remainder else -(-count // recipe.batch_size)


def training_batches(recipe: Recipe, dataset: LabelledImages, seed: int, mean: float) -> tf.data.Dataset:
    """Batches of (float32 images, labels). Kept as uint8 and cast after batching: a quarter of the memory."""
    order = np.arange(len(dataset))
    if recipe.shuffle != "never":
        order = np.random.default_rng(seed).permutation(order)
    images = _prepared(recipe, dataset.images, seed)
    data = tf.data.Dataset.from_tensor_slices((images[order][..., None], dataset.labels[order]))
    if recipe.shuffle == "every-epoch":
        data = data.shuffle(len(dataset), seed=seed, reshuffle_each_iteration=True)
    data = data.batch(recipe.batch_size, drop_remainder=recipe.drop_remainder)
    return data.map(lambda x, y: ((tf.cast(x, tf.float32) - mean) / GREY_MAX, y)).prefetch(2)


def _prepared(recipe: Recipe, images: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Return the images, augmented once if the recipe says so."""
    if recipe.augment == "none":
        return images
    random = np.random.default_rng((seed, 3))
    return np.stack([augmented(image, None, random, side=image.shape[0]) for image in images])
