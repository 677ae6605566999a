"""Edge: films of both training and operating parts come in; the edge network with its rules goes out.

Where films suffice, the whole network is trained on them. Where they are few, ImageNet's features stay as they are and
only a linear rule over their means is fitted: nothing else was found to hold on a few hundred films. Either way the
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
from train.augmentation.worse_exposures import worse_exposures
from train.calibration.ood_threshold import fit_known, outlier_threshold
from train.calibration.operating_point import NONE_HELD, Held
from train.data.dataset import Films
from train.data.selection import (
    kinds,
    only,
    taught,
    teaching,
    together,
)
from train.fitting.fine_tune import MEAN, fine_tune
from train.fitting.frozen_features import (
    Means,
    Untrained,
    block_means,
    standards,
)
from train.fitting.history import Step
from train.fitting.linear_probe import Lessons, fit_rule, held_out_logits
from train.fitting.weight_averaging import Mean, mean_of
from train.networks.efficientnet_lite0 import BLOCKS, backbone, block_output
from train.networks.evidence_head import at_224, evidence_network
from train.networks.predictor import Trained, answers
from train.recipe import Recipe, edge_network

Floats = NDArray[np.float64]
MeansOf = Callable[[tuple[int, ...], NDArray[np.uint8]], Means]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A trained network. `operating_logits` (n,) of the films in `operating` choose calibration and thresholds.

    `stressed` are the same films as worse exposures; none where only rules that saw some of them could judge them.
    """

    trained: Trained
    operating: Films
    operating_logits: Floats
    stressed: Held
    outlier_threshold: float
    evidence_blocks: tuple[int, ...]
    history: list[Step]


def train_edge(
    recipe: Recipe,
    films: Mapping[str, Films],
    seed: int,
    *,
    on_step: Callable[[Step], None],
    checkpoints: Path | None = None,
) -> Edge:
    """Train on films["train"], and on films["operating"] what needs films that did not train."""
    lessons = taught(recipe, films["train"])
    if len(lessons) >= recipe.fine_tune.at_least_films:
        return _tuned(recipe, films, lessons, seed, on_step, checkpoints)
    return _ruled(recipe, films, seed)


def _tuned(  # noqa: PLR0917 - what train_edge was given
    recipe: Recipe,
    films: Mapping[str, Films],
    lessons: Films,
    seed: int,
    on_step: Callable[[Step], None],
    checkpoints: Path | None,
) -> Edge:
    found = fine_tune(recipe, lessons, seed, on_step=on_step, checkpoints=checkpoints)
    mean = Mean(body=_plain(recipe, found.body), weight=found.weight, bias=found.bias)
    return _settled(recipe, films, mean, found.history)


def blend_edge(recipe: Recipe, films: Mapping[str, Films], networks: Sequence[Trained]) -> Edge:
    """The mean of fine-tuned networks of several seeds, with rules of its own. See `train.fitting.weight_averaging`."""
    return _settled(recipe, films, mean_of(recipe, networks, taught(recipe, films["train"])), [])


def _settled(recipe: Recipe, films: Mapping[str, Films], found: Mean, history: list[Step]) -> Edge:
    means_of = partial(block_means, found.body, recipe=recipe)
    trained = _assembled(recipe, found.body, {BLOCKS: found.weight}, found.bias, films["train"], means_of)
    operating = taught(recipe, films["operating"])
    worse, whose = worse_exposures(operating.images, recipe.operating_point.stress_copies)
    logits = answers(trained, np.concatenate([operating.images, worse])).logits
    clean = len(operating)
    return Edge(
        trained=trained, operating=operating, operating_logits=logits[:clean],
        stressed=Held(logits=logits[clean:], labels=operating.labels[whose]),
        outlier_threshold=_threshold(recipe, trained, films["operating"]), evidence_blocks=(BLOCKS,),
        history=history,
    )  # fmt: skip


def _plain(recipe: Recipe, tuned: keras.Model) -> keras.Model:
    """The same weights without what only training needs."""
    body = backbone(size=edge_network(recipe).side)
    body.set_weights(tuned.get_weights())
    return body


def _ruled(recipe: Recipe, films: Mapping[str, Films], seed: int) -> Edge:
    """The rule learns from both parts; its logits on them come from rules that saw none of the patient's films."""
    both = together(films["train"], films["operating"])
    features, blocks = Untrained(recipe, films["train"]), recipe.rule.blocks
    means = features.means(blocks, both.images)
    lessons = _lessons(recipe, both, _wide(means), features.noise(blocks, both.images))
    lessons = replace(lessons, changes=_changes(recipe, features, taught(recipe, both), lessons.means))
    rule = fit_rule(lessons, recipe.rule)
    ends = np.cumsum([0, *(means[block].shape[1] for block in blocks)])
    weights = {block: rule.weights[a:b].astype(np.float32) for block, a, b in zip(blocks, ends, ends[1:], strict=False)}
    trained = _assembled(recipe, features.body, weights, rule.bias, films["train"], features.means)
    trained = replace(trained, on_grid=features.on_grid)
    return Edge(
        trained=trained, operating=only(both, teaching(recipe, both)),
        operating_logits=held_out_logits(lessons, recipe.rule, seed), stressed=NONE_HELD,
        outlier_threshold=_threshold(recipe, trained, films["operating"]), evidence_blocks=blocks, history=[],
    )  # fmt: skip


def _wide(means: Means) -> Floats:
    return np.concatenate(list(means.values()), axis=1).astype(np.float64)


def _changes(recipe: Recipe, features: Untrained, films: Films, means: Floats) -> Floats | None:
    """What other exposures of `films` add to their `means` (n, k): (copies, n, k). None where the rule does not ask."""
    if not recipe.rule.change_penalty:
        return None
    times = recipe.rule.copies
    copies = _copies(recipe, films, times, np.random.default_rng(11))
    return _wide(features.means(recipe.rule.blocks, copies)).reshape(times, *means.shape) - means


def _lessons(recipe: Recipe, films: Films, means: Floats, noise: Means | None) -> Lessons:
    teach, source = teaching(recipe, films), kinds(films)
    others = [
        (label, means[~teach & (source == name) & (films.labels == label)])
        for name in np.unique(source[~teach])
        for label in (0, 1)
    ]
    return Lessons(
        means=means[teach], labels=films.labels[teach], groups=np.array(films.patients)[teach],
        others=tuple((label, theirs) for label, theirs in others if len(theirs)),
        noise=None if noise is None else _wide(noise),
    )  # fmt: skip


def _assembled(  # noqa: PLR0917 - what a network is made of
    recipe: Recipe,
    body: keras.Model,
    weights: Mapping[int, NDArray[np.float32]],
    bias: float,
    films: Films,
    means_of: MeansOf,
) -> Trained:
    """Body, evidence and features in one network, and the rule that knows the training films."""
    known, whose = known_films(recipe, films)
    means = means_of(edge_network(recipe).outlier_blocks, known)
    features = standards(means)
    standard = [(means[block] - mean) / spread for block, (mean, spread) in features.items()]
    outliers = fit_known(np.concatenate(standard, axis=1), whose)
    network = assemble(body, weights, features)
    return Trained(network=network, mean=MEAN, tone=recipe.tone, bias=bias, outliers=outliers)


def assemble(
    body: keras.Model,
    weights: Mapping[int, NDArray[np.float32]],
    features: Mapping[int, tuple[NDArray[np.float32], NDArray[np.float32]]],
) -> keras.Model:
    """Film (n, 224, 224, 1) to evidence and features; both are given by number of block. See `evidence_head`."""
    return at_224(evidence_network(body, weights, features))


def skeleton(recipe: Recipe, evidence_blocks: tuple[int, ...]) -> keras.Model:
    """The edge network without its weights, for `load_weights`."""
    section = edge_network(recipe)
    body = backbone(size=section.side)
    channels = {block: block_output(body, block).shape[-1] for block in (*evidence_blocks, *section.outlier_blocks)}
    nothing = {block: np.zeros(count, np.float32) for block, count in channels.items()}
    features = {block: (nothing[block], nothing[block] + 1) for block in section.outlier_blocks}
    return assemble(body, {block: nothing[block] for block in evidence_blocks}, features)


def known_films(recipe: Recipe, films: Films) -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
    """Films and their changed copies, uint8 (m, 224, 224), and the kind of each (m,)."""
    times = recipe.outliers.copies
    copies = _copies(recipe, films, times, np.random.default_rng(7))
    return np.concatenate([films.images, copies]), np.tile(kinds(films), 1 + times)


def _copies(recipe: Recipe, films: Films, times: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """All films changed, then all again: uint8 (times * n, 224, 224)."""
    others = films.images
    found = [
        changed(recipe.augment, film, others[random.integers(len(films))], random)
        for _ in range(times)
        for film in films.images
    ]
    return np.array(found, np.uint8).reshape(-1, *others.shape[1:])


def _threshold(recipe: Recipe, trained: Trained, films: Films) -> float:
    section, distances = recipe.outliers, answers(trained, films.images).distances
    if distances is None:
        raise TypeError("the network has no features")
    return outlier_threshold(distances, kinds(films), section.false_alarms, section.margin)
