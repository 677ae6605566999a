"""Stress: test films and a box's classifier come in; what worse exposures and hidden evidence do to scores goes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.inference.classifier import Classifier
from export.evaluation.occlusion import DRAWS, Occlusion, occlusion
from export.evaluation.robustness import Film, Robustness, robustness
from export.int8.box_predictions import judged
from export.int8.predictions import Progress, silent
from metrics.estimates import Floats
from train.augmentation.corruptions import CORRUPTIONS, STRENGTHS
from train.data.dataset import LabelledImages
from train.data.selection import select

MOST_OF_A_CLASS = 200
"""Each film is judged once for every corruption and strength, so a large test part is drawn from."""
MOST_HIDDEN = 150
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stress:
    """`rows` of `normal` and `pneumonia` films, drawn from `of` test films."""

    normal: int
    pneumonia: int
    of: int
    rows: tuple[Robustness, ...]


def stress(
    classifier: Classifier,
    dataset: LabelledImages,
    *,
    operating_logit: float,
    outlier_threshold: float | None,
    on_progress: Progress = silent,
) -> Stress:
    """Every corruption at every strength, on at most MOST_OF_A_CLASS films of a class."""
    drawn = select(dataset, drawn_films(dataset.labels))

    def judge(images: Film) -> tuple[Floats, Floats | None]:
        found = judged(classifier, images)
        return found.logits, found.distances

    on_progress("judging corrupted films", 0, len(CORRUPTIONS) * len(STRENGTHS))
    rows = robustness(
        judge,
        drawn.images,
        drawn.labels,
        operating_logit=operating_logit,
        outlier_threshold=outlier_threshold,
        seed=SEED,
        on_step=lambda done, of: on_progress("judging corrupted films", done, of),
    )
    counts = drawn.counts()
    return Stress(normal=counts["normal"], pneumonia=counts["pneumonia"], of=len(dataset), rows=rows)


def drawn_films(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which films (n,) are taken: all of a class, or MOST_OF_A_CLASS by a fixed seed."""
    random, chosen = np.random.default_rng(SEED), np.zeros(len(labels), bool)
    for label in (0, 1):
        theirs = np.flatnonzero(labels == label)
        chosen[random.permutation(theirs)[:MOST_OF_A_CLASS]] = True
    return chosen


def hidden_evidence(
    classifier: Classifier,
    dataset: LabelledImages,
    maps: NDArray[np.float32] | None,
    found: NDArray[np.bool_],
    *,
    on_progress: Progress = silent,
) -> Occlusion | None:
    """Of pneumonia films that were `found` (n,), at most MOST_HIDDEN; None without `maps` (n, side, side) or films."""
    places = np.flatnonzero(found & (dataset.labels == 1))
    if maps is None or len(places) < 2:
        return None
    kept = np.sort(np.random.default_rng(SEED).permutation(places)[:MOST_HIDDEN])
    judge = _counted(lambda images: judged(classifier, images).logits, on_progress)
    patients = [dataset.patients[place] for place in kept]
    return occlusion(judge, dataset.images[kept], maps[kept], patients, seed=SEED)


def _counted(judge: Callable[[Film], Floats], on_progress: Progress) -> Callable[[Film], Floats]:
    """Tells of each look: at the films, at their brightest parts hidden, at DRAWS other parts hidden."""
    done = 0

    def watched(images: Film) -> Floats:
        nonlocal done
        found = judge(images)
        done += 1
        on_progress("hiding evidence", done, 2 + DRAWS)
        return found

    return watched
