"""Fine-tune the whole network from its ImageNet weights.

Interrupted trainings go on after the last whole epoch, if a folder for checkpoints is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from device.preprocess.intensity import normalize_intensity
from train.augmentation.training import changed
from train.data.acquisition_style import sampling_weights, style_chances
from train.data.dataset import LabelledImages
from train.fitting.devices import precision, strategy
from train.fitting.history import Step, StepRecorder
from train.networks.efficientnet_lite0 import BLOCKS, backbone, load_imagenet
from train.recipe import Recipe, edge_network

MEAN = 127.0
"""Grey value that is zero to the network: the middle, which every tone brings images to."""
GREY_MAX = 255.0
CHECKPOINT = "checkpoint.keras"
AVERAGE = "average.npz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """`body` is the network up to its last map; the logit is that map's channel means times `weight`, plus `bias`."""

    body: keras.Model
    weight: NDArray[np.float32]
    bias: float
    history: list[Step]


def fine_tune(
    recipe: Recipe,
    dataset: LabelledImages,
    seed: int,
    *,
    on_step: Callable[[Step], None],
    checkpoints: Path | None = None,
) -> Tuned:
    """Train on `images`. On a machine with several GPUs each takes a share of every batch."""
    section = recipe.fine_tune
    steps = steps_per_epoch(recipe, len(dataset))
    draws = _draws(recipe, dataset, seed)
    with precision(mixed=recipe.mixed_precision), strategy().scope():
        network = classifier(recipe, steps * section.epochs)
    average = _Average(network, section.average, section.average_every)
    begun = 0 if checkpoints is None else _resumed(checkpoints, network, average)
    recorder = StepRecorder(section.epochs * steps, on_step, done=begun * steps)
    for epoch in range(begun, section.epochs):
        batches = _batches(recipe, draws, epoch, steps)
        network.fit(
            batches, epochs=epoch + 1, initial_epoch=epoch, shuffle=False, verbose=0, callbacks=[recorder, average]
        )
        if checkpoints is not None:
            _keep(checkpoints, network, average, epoch + 1)
    average.apply()
    weight, bias = network.get_layer("logit").get_weights()
    return Tuned(body=network.get_layer("body"), weight=weight[:, 0], bias=float(bias[0]), history=recorder.history)


def _draws(recipe: Recipe, dataset: LabelledImages, seed: int) -> Draws:
    power = recipe.fine_tune.style_power
    chances = style_chances(dataset.images, dataset.labels, dataset.patients, seed) if power else None
    return Draws(dataset=dataset, weights=sampling_weights(dataset.labels, chances, power), seed=seed)


def steps_per_epoch(recipe: Recipe, count: int) -> int:
    """Batches of one epoch."""
    return -(-count // recipe.batch_size)


def classifier(recipe: Recipe, steps: int) -> keras.Model:
    """Image (n, 224, 224, 1) to one logit, with ImageNet's weights and the optimizer ready to train."""
    section, network = recipe.fine_tune, edge_network(recipe)
    body = backbone(size=network.side, drop_path=section.drop_path)
    load_imagenet(body)
    body.name = "body"
    freeze(body, section.frozen_blocks)
    image = keras.Input((224, 224, 1), name="image")
    x = keras.layers.Resizing(network.side, network.side, interpolation="bilinear", name="resize")(image)
    x = keras.layers.GlobalAveragePooling2D(name="means")(body(x))
    x = keras.layers.Dropout(section.dropout, name="dropout")(x)
    logit = keras.layers.Dense(1, dtype="float32", name="logit")(x)
    model = keras.Model(image, logit, name="tuning")
    model.compile(
        optimizer=_adamw(recipe, model, steps),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.MeanMetricWrapper(_right, name="accuracy")],
        # XLA compiles depthwise gradients ten times slower on a processor than the plain kernels run.
        jit_compile=bool(tf.config.list_physical_devices("GPU")),
    )
    return model


def _right(targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Targets are no whole numbers: they are smoothed, and mixed."""
    return tf.cast((targets > 0.5) == (logits > 0), tf.float32)


def freeze(body: keras.Model, blocks: int) -> None:
    """The stem and so many blocks keep weights and batch statistics."""
    kept = ("stem", *(f"block{index}_" for index in range(min(blocks, BLOCKS))))
    for layer in body.layers:
        if blocks and layer.name.startswith(kept):
            layer.trainable = False


def _adamw(recipe: Recipe, model: keras.Model, steps: int) -> keras.optimizers.Optimizer:
    section = recipe.fine_tune
    warm_up = max(1, steps // 10)
    rate = keras.optimizers.schedules.CosineDecay(
        section.learning_rate / 10,
        max(1, steps - warm_up),
        alpha=0.02,
        warmup_target=section.learning_rate,
        warmup_steps=warm_up,
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=section.weight_decay, global_clipnorm=section.clip_norm)
    optimizer.exclude_from_weight_decay([v for v in model.trainable_variables if len(v.shape) == 1])
    return optimizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """Which images are seen when. `weights` (n,): the chance of each image to be drawn."""

    dataset: LabelledImages
    weights: NDArray[np.float64]
    seed: int

    def epoch(self, epoch: int, count: int) -> Iterator[tuple[int, int, int]]:
        """(image, another image, seed of its changes), `count` times; the same for the same seed and epoch."""
        random = np.random.default_rng((self.seed, epoch))
        drawn = random.choice(len(self.dataset), (count, 2), p=self.weights)
        seeds = random.integers(0, 2**31, count)
        yield from zip(drawn[:, 0].tolist(), drawn[:, 1].tolist(), seeds.tolist(), strict=True)


def batches_of(recipe: Recipe, dataset: LabelledImages, epoch: int, steps: int, *, seed: int) -> tf.data.Dataset:
    """What `fine_tune` would show in one epoch: (float32 images, float32 targets (n, 1)), changed, mixed, in tone."""
    return _batches(recipe, _draws(recipe, dataset, seed), epoch, steps)


def _batches(recipe: Recipe, draws: Draws, epoch: int, steps: int) -> tf.data.Dataset:
    """(float32 images, float32 labels (n, 1)). Images stay uint8 until they are a batch: a quarter of the memory."""
    section, images, labels = recipe.fine_tune, draws.dataset.images, draws.dataset.labels
    order = np.array(list(draws.epoch(epoch, steps * recipe.batch_size)), np.int64)

    def image(row: NDArray[np.int64]) -> NDArray[np.uint8]:
        random = np.random.default_rng(int(row[2]))
        return normalize_intensity(changed(recipe.augment, images[row[0]], images[row[1]], random), recipe.tone)[
            ..., None
        ]

    def load(row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        loaded = tf.ensure_shape(tf.numpy_function(image, [row], tf.uint8, stateful=False), (*images.shape[1:], 1))
        return loaded, tf.cast(tf.gather(labels, row[0]), tf.float32)

    def ready(images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return (tf.cast(images, tf.float32) - MEAN) / GREY_MAX, smoothed(targets, section.smoothing)

    data = tf.data.Dataset.from_tensor_slices(order).map(load, num_parallel_calls=2, deterministic=True)
    data = data.batch(recipe.batch_size, drop_remainder=True).map(ready)
    if section.mixup:
        shares = np.random.default_rng((draws.seed, epoch, 1)).beta(section.mixup, section.mixup, steps)
        data = tf.data.Dataset.zip(data, tf.data.Dataset.from_tensor_slices(shares.astype(np.float32))).map(mixed)
    return data.prefetch(2)


def smoothed(labels: tf.Tensor, smoothing: float) -> tf.Tensor:
    """Labels 0 and 1 (n,) as targets (n, 1)."""
    return (labels * (1 - 2 * smoothing) + smoothing)[:, None]


def mixed(batch: tuple[tf.Tensor, tf.Tensor], share: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Each image and target with a share of its neighbour's (Zhang et al. 2018, arXiv:1710.09412)."""
    images, targets = batch
    keep = tf.maximum(share, 1 - share)
    return keep * images + (1 - keep) * tf.roll(images, 1, 0), keep * targets + (1 - keep) * tf.roll(targets, 1, 0)


class _Average(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Polyak's average of the weights; `apply` puts it in their place."""

    def __init__(self, network: keras.Model, memory: float, every: int) -> None:
        super().__init__()
        self.network, self.memory, self.every, self.steps = network, memory, every, 0
        self.values: list[NDArray[np.float32]] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Young averages forget faster, so that they do not carry the start along."""
        del batch, logs
        self.steps += 1
        if self.steps % self.every:
            return
        weights = self.network.get_weights()
        count = self.steps // self.every
        memory = min(self.memory, count / (count + 9)) if self.values else 0.0
        old = self.values or weights
        self.values = [memory * a + (1 - memory) * b for a, b in zip(old, weights, strict=True)]

    def apply(self) -> None:
        """Give the network the averaged weights."""
        if self.values:
            self.network.set_weights(self.values)


def _keep(folder: Path, network: keras.Model, average: _Average, epochs: int) -> None:
    """Whole or not at all: a checkpoint cut off in the middle is never read."""
    folder.mkdir(parents=True, exist_ok=True)
    network.save(folder / f"partial-{CHECKPOINT}")
    values = {f"average/{weight.path}": value for weight, value in zip(network.weights, average.values, strict=False)}
    values |= {f"dropout/{name}": state.numpy() for name, state in _dropout_states(network).items()}
    np.savez(folder / f"partial-{AVERAGE}", epochs=epochs, steps=average.steps, taken=_taken(network), **values)  # type: ignore[arg-type]  # numpy's stubs take the names for options
    for name in (CHECKPOINT, AVERAGE):
        (folder / f"partial-{name}").replace(folder / name)


def _resumed(folder: Path, network: keras.Model, average: _Average) -> int:
    """Bring the network to where it was after its last whole epoch; how many epochs that were."""
    if not (folder / AVERAGE).is_file() or not (folder / CHECKPOINT).is_file():
        return 0
    # Into the rebuilt network: a whole model read back forgets which weights must not decay.
    with strategy().scope():
        network.optimizer.build(network.trainable_variables)
        network.load_weights(folder / CHECKPOINT)
    with np.load(folder / AVERAGE) as kept:
        average.steps, epochs, step = int(kept["steps"]), int(kept["epochs"]), int(kept.get("taken", kept["steps"]))
        if average.steps >= average.every:
            average.values = [kept[f"average/{weight.path}"] for weight in network.weights]
        for name, state in _dropout_states(network).items():
            state.assign(kept[f"dropout/{name}"])
    # The optimizer's step says whether both files are of one epoch.
    if _taken(network) != step:
        words = f"checkpoint of step {_taken(network)} beside an average of step {step}; delete it"
        raise RuntimeError(f"{folder}: {words}")
    return epochs


def _dropout_states(network: keras.Model) -> dict[str, keras.Variable]:
    """By layer, what decides which outputs dropout leaves out next; Keras saves it with no layer."""
    layers = [*network.layers, *network.get_layer("body").layers]
    return {layer.name: layer.seed_generator.state for layer in layers if isinstance(layer, keras.layers.Dropout)}


def _taken(network: keras.Model) -> int:
    """Steps that moved the weights: with float16 those whose gradients overflow do not."""
    return int(network.optimizer.iterations.numpy())
