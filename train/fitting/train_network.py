"""Learn: a recipe, a seed and films come in; a trained network with its operating point goes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from train.calibration.operating_point import OperatingPoint, operating_point
from train.data.dataset import Films
from train.data.selection import taught
from train.fitting.devices import settle
from train.fitting.edge import Edge, blend_edge, train_edge
from train.fitting.fine_tune import steps_per_epoch as tuning_steps
from train.fitting.from_scratch import fit, steps_per_epoch
from train.fitting.history import Step
from train.networks.predictor import Trained, answers
from train.recipe import Recipe, StudyNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """A network that can be released. `operating_logits` (n,) are of the films `operating`, which chose `point`.

    `evidence_blocks` the map adds up; `outlier_threshold` None: it answers any picture.
    """

    trained: Trained
    point: OperatingPoint
    operating: Films
    operating_logits: NDArray[np.float64]
    outlier_threshold: float | None = None
    evidence_blocks: tuple[int, ...] = ()
    history: list[Step] = field(default_factory=list)

    def decided(self, logits: NDArray[np.float64]) -> NDArray[np.bool_]:
        """What the network calls pneumonia, (n,): above its anchor, or where it thinks pneumonia likelier."""
        return logits > 0 if self.point.anchor is None else logits >= self.point.anchor


def learn(
    recipe: Recipe,
    films: Mapping[str, Films],
    seed: int,
    *,
    on_step: Callable[[Step], None] = lambda _: None,
    checkpoints: Path | None = None,
) -> Learned:
    """Train on films["train"]; the test films are not looked at. Same recipe, seed and films, same network."""
    settle(seed)
    if isinstance(recipe.network, StudyNetwork):
        return _study(recipe, films, seed, on_step)
    return _with_point(recipe, train_edge(recipe, films, seed, on_step=on_step, checkpoints=checkpoints))


def blended(recipe: Recipe, films: Mapping[str, Films], networks: Sequence[Trained]) -> Learned:
    """The mean of the networks of several seeds, with an operating point of its own."""
    settle(0)
    return _with_point(recipe, blend_edge(recipe, films, networks))


def _with_point(recipe: Recipe, edge: Edge) -> Learned:
    point = operating_point(recipe.operating_point, edge.operating_logits, edge.operating.labels, edge.stressed)
    return Learned(
        trained=edge.trained, point=point, operating=edge.operating, operating_logits=edge.operating_logits,
        outlier_threshold=edge.outlier_threshold, evidence_blocks=edge.evidence_blocks, history=edge.history,
    )  # fmt: skip


def _study(recipe: Recipe, films: Mapping[str, Films], seed: int, on_step: Callable[[Step], None]) -> Learned:
    found = fit(recipe, taught(recipe, films["train"]), seed, on_step=on_step)
    trained = Trained(network=found.network, mean=found.mean, tone=recipe.tone)
    operating = taught(recipe, films["operating"])
    logits = answers(trained, operating.images).logits
    point = operating_point(recipe.operating_point, logits, operating.labels)
    return Learned(trained=trained, point=point, operating=operating, operating_logits=logits, history=found.history)


def steps_of(recipe: Recipe, films: Mapping[str, Films]) -> int:
    """Batches of one seed's training; 0 where only a rule is fitted."""
    count = len(taught(recipe, films["train"]))
    if isinstance(recipe.network, StudyNetwork):
        return recipe.epochs * steps_per_epoch(recipe, count)
    section = recipe.fine_tune
    return section.epochs * tuning_steps(recipe, count) if count >= section.at_least_films else 0
