"""Train one network of a recipe: a fitted network comes in; its operating point and rejection threshold are added.

The study's network is trained from scratch, EfficientNet-Lite0 is fine-tuned. The logit of the latter is linear in
means over positions, so each position's share of it is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np
from numpy.typing import NDArray

from train.augmentation.corruptions import corrupted_copies
from train.augmentation.training import augmented
from train.calibration.ood_threshold import fit_ood_rule, outlier_threshold
from train.calibration.operating_point import HeldOutLogits, OperatingPoint, operating_point
from train.data.dataset import LabelledImages
from train.data.selection import image_sources, with_certain_labels
from train.fitting.devices import make_deterministic
from train.fitting.fine_tune import MEAN, Classifier, fine_tune, mean_of, step_count
from train.fitting.from_scratch import fit, steps_per_epoch
from train.fitting.history import Step
from train.networks.efficientnet_lite0 import backbone, block_output
from train.networks.evidence_head import Standard, evidence_network, evidence_weight
from train.networks.predictor import BATCH, Predictor, at_input_size, network_input, predict
from train.recipe import Recipe, StudyNetwork, edge_network

SIDE = 224
NO_IMAGES: NDArray[np.uint8] = np.zeros((0, SIDE, SIDE), np.uint8)
IMAGES_PER_SOURCE = 500
INVERTED = 400
"""Training images that are inverted, as a wrong photometric interpretation would; such images must be rejected."""
LEAST_SPREAD = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedNetwork:
    """A network that can be released. `operating_logits` (n,) are of the images `operating`, which chose `point`.

    `outlier_threshold` is None where no image is rejected.
    """

    predictor: Predictor
    point: OperatingPoint
    operating: LabelledImages
    operating_logits: NDArray[np.float64]
    outlier_threshold: float | None = None
    history: list[Step] = field(default_factory=list)

    def decided(self, logits: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which images (n,) the network calls pneumonia: those at or above its operating logit."""
        return logits > 0 if self.point.operating_logit is None else logits >= self.point.operating_logit


def train_network(
    recipe: Recipe,
    parts: Mapping[str, LabelledImages],
    seed: int,
    *,
    start: Classifier | None = None,
    rejected: NDArray[np.uint8] = NO_IMAGES,
    on_step: Callable[[Step], None] = lambda _: None,
) -> TrainedNetwork:
    """Train on parts["train"], from `start` or else from ImageNet; parts["test"] is not looked at.

    `rejected` uint8 (n, 224, 224) are images that the network must reject as out of distribution.
    The same recipe, seed and images give the same network on the same machine.
    """
    make_deterministic(seed)
    if isinstance(recipe.network, StudyNetwork):
        return _study(recipe, parts, seed, on_step)
    return settled(recipe, parts, fine_tune(recipe, parts["train"], seed, start=start, on_step=on_step), rejected)


def average_networks(
    recipe: Recipe,
    parts: Mapping[str, LabelledImages],
    networks: Sequence[Predictor],
    rejected: NDArray[np.uint8] = NO_IMAGES,
) -> TrainedNetwork:
    """Return the mean of the networks of several seeds, with an operating point of its own."""
    make_deterministic(0)
    side = edge_network(recipe).side
    return settled(recipe, parts, mean_of([classifier_of(network) for network in networks], side), rejected)


def classifier_of(predictor: Predictor) -> Classifier:
    """Return what `fine_tune` gave, from an assembled network."""
    inside = predictor.network
    body = backbone(size=inside.input.shape[1])
    for layer in body.layers:
        layer.set_weights(inside.get_layer(layer.name).get_weights())
    return Classifier(body=body, weight=evidence_weight(inside), bias=predictor.bias)


def settled(
    recipe: Recipe,
    parts: Mapping[str, LabelledImages],
    classifier: Classifier,
    rejected: NDArray[np.uint8] = NO_IMAGES,
) -> TrainedNetwork:
    """Assemble the network that boxes run, and choose its operating point and rejection threshold."""
    predictor = _predictor(recipe, parts["train"], classifier, rejected)
    operating, copies = with_certain_labels(recipe.data, parts["operating"]), recipe.operating_point.corrupted_copies
    corrupted, rows = corrupted_copies(operating.images, copies)
    outputs = predict(predictor, np.concatenate([operating.images, corrupted]))
    clean, sources = len(operating), image_sources(operating)
    point = operating_point(
        recipe.operating_point,
        HeldOutLogits(logits=outputs.logits[:clean], labels=operating.labels),
        sources,
        HeldOutLogits(logits=outputs.logits[clean:], labels=operating.labels[rows]),
    )
    if outputs.distances is None:
        raise TypeError("the network has no features")
    section = recipe.outliers
    return TrainedNetwork(
        predictor=predictor,
        point=point,
        operating=operating,
        operating_logits=outputs.logits[:clean],
        outlier_threshold=outlier_threshold(outputs.distances[:clean], sources, section.false_alarms, section.margin),
        history=classifier.history,
    )


def _predictor(
    recipe: Recipe, dataset: LabelledImages, classifier: Classifier, rejected: NDArray[np.uint8]
) -> Predictor:
    """Put body, evidence map and features into one network, and fit the rule that rejects images."""
    images, sources = in_distribution_images(recipe, dataset)
    blocks = edge_network(recipe).outlier_blocks
    means = block_means(classifier.body, blocks, images)
    standards = {
        block: Standard(mean=x.mean(axis=0), spread=x.std(axis=0) + LEAST_SPREAD) for block, x in means.items()
    }
    features = [(means[block] - standard.mean) / standard.spread for block, standard in standards.items()]
    inverted = 255 - dataset.images[:: max(1, len(dataset) // INVERTED)]
    groups = [
        np.concatenate([(x - standards[b].mean) / standards[b].spread for b, x in group.items()], axis=1)
        for group in (block_means(classifier.body, blocks, shown) for shown in (inverted, rejected) if len(shown))
    ]
    return Predictor(
        network=evidence_network(classifier.body, classifier.weight, standards),
        mean=MEAN,
        bias=classifier.bias,
        outliers=fit_ood_rule(np.concatenate(features, axis=1), sources, groups),
    )


def block_means(body: keras.Model, blocks: Sequence[int], images: NDArray[np.uint8]) -> dict[int, NDArray[np.float32]]:
    """Return by block the channel means, float32 (n, channels), of `images` uint8 (n, 224, 224)."""
    pooled = [keras.layers.GlobalAveragePooling2D()(block_output(body, block)) for block in blocks]
    network, images = keras.Model(body.input, pooled), at_input_size(body, images)
    parts = []
    for first in range(0, len(images), BATCH):
        output = network.predict_on_batch(network_input(images[first : first + BATCH], mean=MEAN))
        parts.append(output if isinstance(output, list) else [output])
    return {block: np.concatenate(arrays) for block, arrays in zip(blocks, zip(*parts, strict=True), strict=True)}


def in_distribution_images(recipe: Recipe, dataset: LabelledImages) -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
    """Return images and changed copies of them, uint8 (m, 224, 224), and the source of each (m,).

    At most IMAGES_PER_SOURCE of a source: its centre and the covariance need no more.
    """
    random, sources = np.random.default_rng(7), image_sources(dataset)
    rows = [random.permutation(np.flatnonzero(sources == name))[:IMAGES_PER_SOURCE] for name in np.unique(sources)]
    chosen = np.sort(np.concatenate(rows))
    images, times = dataset.images[chosen], recipe.outliers.copies
    copies = [augmented(image, None, random, side=SIDE) for _ in range(times) for image in images]
    both = np.concatenate([images, np.array(copies, np.uint8).reshape(-1, SIDE, SIDE)])
    return both, np.tile(sources[chosen], 1 + times)


def empty_edge_network(recipe: Recipe) -> keras.Model:
    """Return the assembled network without its weights, for `load_weights`."""
    section = edge_network(recipe)
    body = backbone(size=section.side)
    standards = {}
    for block in section.outlier_blocks:
        channels = block_output(body, block).shape[-1]
        standards[block] = Standard(mean=np.zeros(channels, np.float32), spread=np.ones(channels, np.float32))
    return evidence_network(body, np.zeros(body.output.shape[-1], np.float32), standards)


def _study(
    recipe: Recipe, parts: Mapping[str, LabelledImages], seed: int, on_step: Callable[[Step], None]
) -> TrainedNetwork:
    fitted = fit(recipe, parts["train"], seed, on_step=on_step)
    predictor = Predictor(network=fitted.network, mean=fitted.mean)
    operating = with_certain_labels(recipe.data, parts["operating"])
    logits = predict(predictor, operating.images).logits
    held_out = HeldOutLogits(logits=logits, labels=operating.labels)
    return TrainedNetwork(
        predictor=predictor,
        point=operating_point(recipe.operating_point, held_out, image_sources(operating)),
        operating=operating,
        operating_logits=logits,
        history=fitted.history,
    )


def count_steps(recipe: Recipe, parts: Mapping[str, LabelledImages]) -> int:
    """Return the batches of one seed's training."""
    if isinstance(recipe.network, StudyNetwork):
        return recipe.epochs * steps_per_epoch(recipe, len(parts["train"]))
    return step_count(recipe)
