"""Train one network of a recipe and choose its operating point."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from train.calibration.operating_point import OperatingPoint, operating_point
from train.data.dataset import LabelledImages
from train.data.selection import from_label_sources
from train.fitting.devices import make_deterministic
from train.fitting.edge import Edge, average_edge, train_edge
from train.fitting.fine_tune import steps_per_epoch as tuning_steps
from train.fitting.from_scratch import fit, steps_per_epoch
from train.fitting.history import Step
from train.networks.predictor import Predictor, predict
from train.recipe import Recipe, StudyNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedNetwork:
    """A network that can be released. `operating_logits` (n,) are of the images `operating`, which chose `point`.

    `evidence_blocks` the map adds up; `outlier_threshold` None: it answers any picture.
    """

    predictor: Predictor
    point: OperatingPoint
    operating: LabelledImages
    operating_logits: NDArray[np.float64]
    outlier_threshold: float | None = None
    evidence_blocks: tuple[int, ...] = ()
    history: list[Step] = field(default_factory=list)

    def decided(self, logits: NDArray[np.float64]) -> NDArray[np.bool_]:
        """What the network calls pneumonia, (n,): above its anchor, or where it thinks pneumonia likelier."""
        return logits > 0 if self.point.operating_logit is None else logits >= self.point.operating_logit


def train_network(
    recipe: Recipe,
    parts: Mapping[str, LabelledImages],
    seed: int,
    *,
    on_step: Callable[[Step], None] = lambda _: None,
    checkpoints: Path | None = None,
) -> TrainedNetwork:
    """Train on images["train"]; the test images are not looked at. Same recipe, seed and images, same network."""
    make_deterministic(seed)
    if isinstance(recipe.network, StudyNetwork):
        return _study(recipe, parts, seed, on_step)
    return _with_point(recipe, train_edge(recipe, parts, seed, on_step=on_step, checkpoints=checkpoints))


def average_networks(
    recipe: Recipe, parts: Mapping[str, LabelledImages], networks: Sequence[Predictor]
) -> TrainedNetwork:
    """The mean of the networks of several seeds, with an operating point of its own."""
    make_deterministic(0)
    return _with_point(recipe, average_edge(recipe, parts, networks))


def _with_point(recipe: Recipe, edge: Edge) -> TrainedNetwork:
    point = operating_point(recipe.operating_point, edge.operating_logits, edge.operating.labels, edge.corrupted)
    return TrainedNetwork(
        predictor=edge.predictor,
        point=point,
        operating=edge.operating,
        operating_logits=edge.operating_logits,
        outlier_threshold=edge.outlier_threshold,
        evidence_blocks=edge.evidence_blocks,
        history=edge.history,
    )


def _study(
    recipe: Recipe, parts: Mapping[str, LabelledImages], seed: int, on_step: Callable[[Step], None]
) -> TrainedNetwork:
    found = fit(recipe, from_label_sources(recipe.data, parts["train"]), seed, on_step=on_step)
    predictor = Predictor(network=found.network, mean=found.mean, tone=recipe.tone)
    operating = from_label_sources(recipe.data, parts["operating"])
    logits = predict(predictor, operating.images).logits
    point = operating_point(recipe.operating_point, logits, operating.labels)
    return TrainedNetwork(
        predictor=predictor, point=point, operating=operating, operating_logits=logits, history=found.history
    )


def count_steps(recipe: Recipe, parts: Mapping[str, LabelledImages]) -> int:
    """Batches of one seed's training; 0 where only a rule is fitted."""
    count = len(from_label_sources(recipe.data, parts["train"]))
    if isinstance(recipe.network, StudyNetwork):
        return recipe.epochs * steps_per_epoch(recipe, count)
    section = recipe.fine_tune
    return section.epochs * tuning_steps(recipe, count) if count >= section.min_images else 0
