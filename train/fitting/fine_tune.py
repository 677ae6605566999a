"""Fine-tune EfficientNet-Lite0 from its ImageNet weights, or from those of an earlier network.

Batch norms keep the statistics of ImageNet, so that the mix of a batch moves nothing. Each seed's network is the moving
average of its weights over the last steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cv2
import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from train.augmentation.training import augmented
from train.data.dataset import LabelledImages
from train.fitting.devices import precision, strategy
from train.fitting.history import Step, StepRecorder
from train.fitting.sampling import Draw, Sampler, sampler
from train.networks.efficientnet_lite0 import BLOCKS, backbone, load_imagenet
from train.networks.predictor import GREY_MAX
from train.recipe import EdgeNetwork, FineTuneSection, Recipe, edge_network

MEAN = 127.0
"""The grey value that is zero to the network: one scale of int8 then holds every grey value exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """`body` up to its last map (n, side, side, channels); the logit is its channel means times `weight`, plus `bias`.

    `weight` is float32 (channels,); `history` has one entry per batch, none for a mean of networks.
    """

    body: keras.Model
    weight: NDArray[np.float32]
    bias: float
    history: list[Step] = field(default_factory=list)


def fine_tune(
    recipe: Recipe,
    dataset: LabelledImages,
    seed: int,
    *,
    start: Classifier | None = None,
    on_step: Callable[[Step], None] = lambda _: None,
) -> Classifier:
    """Train on `dataset`. On a machine with several GPUs each takes a share of every batch.

    `start` None: from the ImageNet weights.
    """
    section, network = recipe.fine_tune, edge_network(recipe)
    steps = step_count(recipe)
    with precision(mixed=recipe.mixed_precision), strategy().scope():
        model = trainable_network(network, section, steps, start)
    recorder = StepRecorder(steps, on_step)
    batches = training_batches(recipe, dataset, seed)
    # At its end `fit` replaces the weights with their moving average.
    model.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[recorder])
    # On one device and in float32: a network spread over several predicts every image once on each.
    body = backbone(size=network.side)
    body.set_weights(model.body.get_weights())
    weight, bias = model.logit.get_weights()
    return Classifier(body=body, weight=weight[:, 0], bias=float(bias[0]), history=recorder.history)


def step_count(recipe: Recipe) -> int:
    """Return the batches of one seed's training."""
    return -(-recipe.fine_tune.passes // recipe.batch_size)


class FineTuning(keras.Model):  # type: ignore[misc]  # Keras has no types
    """`body`, whose batch norms keep their statistics, with dropout and a linear head over its pooled features.

    A functional model would pass `training` on to the batch norms, whatever they were called with.
    """

    def __init__(self, body: keras.Model, dropout: float) -> None:
        super().__init__(name="fine_tuning")
        self.body = body
        self.means = keras.layers.GlobalAveragePooling2D()
        self.dropout = keras.layers.Dropout(dropout)
        self.logit = keras.layers.Dense(1, dtype="float32", kernel_initializer="zeros")

    def call(self, images: tf.Tensor, training: bool | None = None) -> tf.Tensor:  # noqa: FBT001  Keras's signature
        """Return logits (n, 1) of images (n, side, side, 1)."""
        return self.logit(self.dropout(self.means(self.body(images, training=False)), training=training))


def trainable_network(
    network: EdgeNetwork, section: FineTuneSection, steps: int, start: Classifier | None = None
) -> FineTuning:
    """Return a compiled network: image (n, side, side, 1), `(grey - MEAN) / 255`, to one logit (n, 1)."""
    body = backbone(size=network.side)
    if start is None:
        load_imagenet(body)
    else:
        body.set_weights(start.body.get_weights())
    freeze(body, section.frozen_blocks)
    model = FineTuning(body, section.dropout)
    model(tf.zeros((1, *body.input.shape[1:])))
    if start is not None:
        model.logit.set_weights([start.weight[:, None], np.array([start.bias], np.float32)])
    model.compile(
        optimizer=optimizer(section, model, steps),
        loss=keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=2 * section.smoothing),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy")],
        # XLA compiles depthwise gradients ten times slower on a processor than the plain kernels run.
        jit_compile=bool(tf.config.list_physical_devices("GPU")),
    )
    return model


def freeze(body: keras.Model, blocks: int) -> None:
    """Keep the weights of the stem and of the first `blocks` blocks; 0: train everything."""
    kept = ("stem", *(f"block{index}_" for index in range(min(blocks, BLOCKS))))
    for layer in body.layers:
        if blocks and layer.name.startswith(kept):
            layer.trainable = False


def optimizer(section: FineTuneSection, model: keras.Model, steps: int) -> keras.optimizers.Optimizer:
    """Return AdamW with linear warm-up and cosine decay, whose weights are averaged over the steps."""
    warm_up = max(1, round(section.warm_up * steps))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=section.learning_rate, warmup_steps=warm_up
    )
    adamw = keras.optimizers.AdamW(
        rate,
        weight_decay=section.weight_decay,
        global_clipnorm=section.clip_norm,
        use_ema=True,
        ema_momentum=section.averaging,
    )
    adamw.exclude_from_weight_decay([variable for variable in model.trainable_variables if len(variable.shape) == 1])
    return adamw


def training_batches(recipe: Recipe, dataset: LabelledImages, seed: int) -> tf.data.Dataset:
    """Return batches of (float32 images (n, side, side, 1), float32 labels (n, 1)), augmented, without end.

    Images stay uint8 until they are a batch: a quarter of the memory.
    """
    side, size = edge_network(recipe).side, recipe.batch_size
    draws = sampler(recipe.sampling, dataset, seed)

    def load(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = tf.numpy_function(
            lambda number: drawn_batch(recipe, dataset, draws, int(number)), [step], [tf.uint8, tf.float32]
        )
        grey = tf.cast(tf.ensure_shape(images, (size, side, side, 1)), tf.float32)
        return (grey - MEAN) / GREY_MAX, tf.ensure_shape(labels, (size, 1))

    return tf.data.Dataset.counter().map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(4)


def drawn_batch(
    recipe: Recipe, dataset: LabelledImages, draws: Sampler, step: int
) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Return the images, uint8 (n, side, side, 1), and labels, float32 (n, 1), of a step."""
    chosen = list(draws.batch(step, recipe.batch_size))
    images = np.stack([_image(recipe, dataset, draw) for draw in chosen])
    labels = dataset.labels[[draw.index for draw in chosen]]
    return images[..., None], labels[:, None].astype(np.float32)


def _image(recipe: Recipe, dataset: LabelledImages, draw: Draw) -> NDArray[np.uint8]:
    image, side = dataset.images[draw.index], edge_network(recipe).side
    if recipe.augment == "none":
        return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)
    donor = None if draw.donor is None else dataset.images[draw.donor]
    return augmented(image, donor, np.random.default_rng(draw.seed), side=side)


def mean_of(classifiers: list[Classifier], side: int) -> Classifier:
    """Return the network with the mean of the weights of at least two (Wortsman et al. 2022, arXiv:2203.05482).

    Networks that start from the same weights end near each other, and their mean holds better on images from elsewhere
    than any of them, at the cost of one. Raises ValueError for fewer.
    """
    if len(classifiers) < 2:
        raise ValueError(f"expected at least two networks, got {len(classifiers)}")
    body = backbone(size=side)
    weights = zip(*[classifier.body.get_weights() for classifier in classifiers], strict=True)
    body.set_weights([np.mean(parts, axis=0) for parts in weights])
    return Classifier(
        body=body,
        weight=np.mean([classifier.weight for classifier in classifiers], axis=0),
        bias=float(np.mean([classifier.bias for classifier in classifiers])),
    )
