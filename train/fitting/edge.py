"""Train the edge network: fine-tuned, or a linear probe over frozen features.

Where images suffice, the whole network is trained on them. Where they are few, ImageNet's features stay as they are and
only a linear probe over their means is fitted: nothing else was found to hold on a few hundred images. Either way the
logit is linear in means over positions, so each position's share of it is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from train.augmentation.training import changed
from train.augmentation.worse_exposures import corrupted_copies
from train.calibration.ood_threshold import fit_ood_rule, outlier_threshold
from train.calibration.operating_point import NO_HELD_OUT_LOGITS, HeldOutLogits
from train.data.dataset import LabelledImages
from train.data.selection import (
    concatenate,
    from_label_sources,
    image_sources,
    label_source_mask,
    select,
)
from train.fitting.fine_tune import MEAN, fine_tune
from train.fitting.frozen_features import (
    Means,
    Untrained,
    block_means,
    standards,
)
from train.fitting.history import Step
from train.fitting.linear_probe import ProbeTrainingSet, fit_linear_probe, held_out_logits
from train.fitting.weight_averaging import Mean, mean_of
from train.networks.efficientnet_lite0 import BLOCKS, backbone, block_output
from train.networks.evidence_head import at_224, evidence_network
from train.networks.predictor import Predictor, predict
from train.recipe import Recipe, edge_network

Floats = NDArray[np.float64]
MeansOf = Callable[[tuple[int, ...], NDArray[np.uint8]], Means]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A trained network. `operating_logits` (n,) of the images in `operating` choose calibration and thresholds.

    `stressed` are the same images as corrupted copies; none where only rules that saw some of them could classify them.
    """

    predictor: Predictor
    operating: LabelledImages
    operating_logits: Floats
    corrupted: HeldOutLogits
    outlier_threshold: float
    evidence_blocks: tuple[int, ...]
    history: list[Step]


def train_edge(
    recipe: Recipe,
    parts: Mapping[str, LabelledImages],
    seed: int,
    *,
    on_step: Callable[[Step], None],
    checkpoints: Path | None = None,
) -> Edge:
    """Train on images["train"], and on images["operating"] what needs images that did not train."""
    training_set = from_label_sources(recipe.data, parts["train"])
    if len(training_set) >= recipe.fine_tune.min_images:
        return _tuned(recipe, parts, training_set, seed, on_step, checkpoints)
    return _ruled(recipe, parts, seed)


def _tuned(  # noqa: PLR0917 - what train_edge was given
    recipe: Recipe,
    parts: Mapping[str, LabelledImages],
    training_set: LabelledImages,
    seed: int,
    on_step: Callable[[Step], None],
    checkpoints: Path | None,
) -> Edge:
    found = fine_tune(recipe, training_set, seed, on_step=on_step, checkpoints=checkpoints)
    mean = Mean(body=_plain(recipe, found.body), weight=found.weight, bias=found.bias)
    return _settled(recipe, parts, mean, found.history)


def average_edge(recipe: Recipe, parts: Mapping[str, LabelledImages], networks: Sequence[Predictor]) -> Edge:
    """The mean of fine-tuned networks of several seeds, with rules of its own. See `train.fitting.weight_averaging`."""
    return _settled(recipe, parts, mean_of(recipe, networks, from_label_sources(recipe.data, parts["train"])), [])


def _settled(recipe: Recipe, parts: Mapping[str, LabelledImages], found: Mean, history: list[Step]) -> Edge:
    means_of = partial(block_means, found.body, recipe=recipe)
    predictor = _assembled(recipe, found.body, {BLOCKS: found.weight}, found.bias, parts["train"], means_of)
    operating = from_label_sources(recipe.data, parts["operating"])
    worse, whose = corrupted_copies(operating.images, recipe.operating_point.corrupted_copies)
    logits = predict(predictor, np.concatenate([operating.images, worse])).logits
    clean = len(operating)
    return Edge(
        predictor=predictor,
        operating=operating,
        operating_logits=logits[:clean],
        corrupted=HeldOutLogits(logits=logits[clean:], labels=operating.labels[whose]),
        outlier_threshold=_threshold(recipe, predictor, parts["operating"]),
        evidence_blocks=(BLOCKS,),
        history=history,
    )


def _plain(recipe: Recipe, tuned: keras.Model) -> keras.Model:
    """The same weights without what only training needs."""
    body = backbone(size=edge_network(recipe).side)
    body.set_weights(tuned.get_weights())
    return body


def _ruled(recipe: Recipe, parts: Mapping[str, LabelledImages], seed: int) -> Edge:
    """The rule learns from both parts; its logits on them come from rules that saw none of the patient's images."""
    both = concatenate(parts["train"], parts["operating"])
    features, blocks = Untrained(recipe, parts["train"]), recipe.rule.blocks
    means = features.means(blocks, both.images)
    training_set = _lessons(recipe, both, _wide(means), features.noise(blocks, both.images))
    training_set = replace(
        training_set, changes=_changes(recipe, features, from_label_sources(recipe.data, both), training_set.means)
    )
    rule = fit_linear_probe(training_set, recipe.rule)
    ends = np.cumsum([0, *(means[block].shape[1] for block in blocks)])
    weights = {block: rule.weights[a:b].astype(np.float32) for block, a, b in zip(blocks, ends, ends[1:], strict=False)}
    predictor = _assembled(recipe, features.body, weights, rule.bias, parts["train"], features.means)
    predictor = replace(predictor, fake_quantized=features.fake_quantized)
    return Edge(
        predictor=predictor,
        operating=select(both, label_source_mask(recipe.data, both)),
        operating_logits=held_out_logits(training_set, recipe.rule, seed),
        corrupted=NO_HELD_OUT_LOGITS,
        outlier_threshold=_threshold(recipe, predictor, parts["operating"]),
        evidence_blocks=blocks,
        history=[],
    )


def _wide(means: Means) -> Floats:
    return np.concatenate(list(means.values()), axis=1).astype(np.float64)


def _changes(recipe: Recipe, features: Untrained, dataset: LabelledImages, means: Floats) -> Floats | None:
    """What augmented copies add to the `means` (n, k) of the images: (copies, n, k). None without `change_penalty`."""
    if not recipe.rule.change_penalty:
        return None
    times = recipe.rule.copies
    copies = _copies(recipe, dataset, times, np.random.default_rng(11))
    return _wide(features.means(recipe.rule.blocks, copies)).reshape(times, *means.shape) - means


def _lessons(recipe: Recipe, dataset: LabelledImages, means: Floats, noise: Means | None) -> ProbeTrainingSet:
    teach, source = label_source_mask(recipe.data, dataset), image_sources(dataset)
    others = [
        (label, means[~teach & (source == name) & (dataset.labels == label)])
        for name in np.unique(source[~teach])
        for label in (0, 1)
    ]
    return ProbeTrainingSet(
        means=means[teach],
        labels=dataset.labels[teach],
        groups=np.array(dataset.patients)[teach],
        others=tuple((label, theirs) for label, theirs in others if len(theirs)),
        noise=None if noise is None else _wide(noise),
    )


def _assembled(  # noqa: PLR0917 - what a network is made of
    recipe: Recipe,
    body: keras.Model,
    weights: Mapping[int, NDArray[np.float32]],
    bias: float,
    dataset: LabelledImages,
    means_of: MeansOf,
) -> Predictor:
    """Body, evidence and features in one network, and the rule that knows the training images."""
    known, whose = in_distribution_images(recipe, dataset)
    means = means_of(edge_network(recipe).outlier_blocks, known)
    features = standards(means)
    standard = [(means[block] - mean) / spread for block, (mean, spread) in features.items()]
    outliers = fit_ood_rule(np.concatenate(standard, axis=1), whose)
    network = assemble(body, weights, features)
    return Predictor(network=network, mean=MEAN, tone=recipe.tone, bias=bias, outliers=outliers)


def assemble(
    body: keras.Model,
    weights: Mapping[int, NDArray[np.float32]],
    features: Mapping[int, tuple[NDArray[np.float32], NDArray[np.float32]]],
) -> keras.Model:
    """Image (n, 224, 224, 1) to evidence and features; both are given by number of block. See `evidence_head`."""
    return at_224(evidence_network(body, weights, features))


def empty_edge_network(recipe: Recipe, evidence_blocks: tuple[int, ...]) -> keras.Model:
    """The edge network without its weights, for `load_weights`."""
    section = edge_network(recipe)
    body = backbone(size=section.side)
    channels = {block: block_output(body, block).shape[-1] for block in (*evidence_blocks, *section.outlier_blocks)}
    nothing = {block: np.zeros(count, np.float32) for block, count in channels.items()}
    features = {block: (nothing[block], nothing[block] + 1) for block in section.outlier_blocks}
    return assemble(body, {block: nothing[block] for block in evidence_blocks}, features)


def in_distribution_images(recipe: Recipe, dataset: LabelledImages) -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
    """Images and their changed copies, uint8 (m, 224, 224), and the kind of each (m,)."""
    times = recipe.outliers.copies
    copies = _copies(recipe, dataset, times, np.random.default_rng(7))
    return np.concatenate([dataset.images, copies]), np.tile(image_sources(dataset), 1 + times)


def _copies(recipe: Recipe, dataset: LabelledImages, times: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """All images changed, then all again: uint8 (times * n, 224, 224)."""
    others = dataset.images
    found = [
        changed(recipe.augment, image, others[random.integers(len(dataset))], random)
        for _ in range(times)
        for image in dataset.images
    ]
    return np.array(found, np.uint8).reshape(-1, *others.shape[1:])


def _threshold(recipe: Recipe, predictor: Predictor, dataset: LabelledImages) -> float:
    section, distances = recipe.outliers, predict(predictor, dataset.images).distances
    if distances is None:
        raise TypeError("the network has no features")
    return outlier_threshold(distances, image_sources(dataset), section.false_alarms, section.margin)
