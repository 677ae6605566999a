"""Sampled robustness: test images and a box's classifier come in; the cost of corruptions and occlusion goes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.inference.classifier import Classifier
from export.evaluation.occlusion import DRAWS, Occlusion, occlusion
from export.evaluation.robustness import Images, Robustness, robustness
from export.int8.predictions import Progress, box_outputs, no_progress
from metrics.estimates import Floats
from train.augmentation.corruptions import CORRUPTIONS, STRENGTHS
from train.data.dataset import LabelledImages
from train.data.selection import select

MOST_OF_A_CLASS = 200
"""Each image is classified once for every corruption and strength, so a large test part is sampled."""
MOST_HIDDEN = 150
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledRobustness:
    """`rows` of `normal` and `pneumonia` images, drawn from `of` test images."""

    normal: int
    pneumonia: int
    of: int
    rows: tuple[Robustness, ...]


def sampled_robustness(
    classifier: Classifier,
    dataset: LabelledImages,
    *,
    operating_logit: float,
    outlier_threshold: float | None,
    on_progress: Progress = no_progress,
) -> SampledRobustness:
    """Measure every corruption at every strength on at most MOST_OF_A_CLASS images of a class."""
    drawn = select(dataset, sampled_images(dataset.labels))

    def classify(images: Images) -> tuple[Floats, Floats | None]:
        outputs = box_outputs(classifier, images)
        return outputs.logits, outputs.distances

    on_progress("classifying corrupted images", 0, len(CORRUPTIONS) * len(STRENGTHS))
    rows = robustness(
        classify,
        drawn.images,
        drawn.labels,
        operating_logit=operating_logit,
        outlier_threshold=outlier_threshold,
        seed=SEED,
        on_step=lambda done, total: on_progress("classifying corrupted images", done, total),
    )
    counts = drawn.counts()
    return SampledRobustness(normal=counts["normal"], pneumonia=counts["pneumonia"], of=len(dataset), rows=rows)


def sampled_images(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which images (n,) are taken: all of a class, or MOST_OF_A_CLASS by a fixed seed."""
    random, chosen = np.random.default_rng(SEED), np.zeros(len(labels), bool)
    for label in (0, 1):
        of_class = np.flatnonzero(labels == label)
        chosen[random.permutation(of_class)[:MOST_OF_A_CLASS]] = True
    return chosen


def hidden_evidence(
    classifier: Classifier,
    dataset: LabelledImages,
    maps: NDArray[np.float32] | None,
    decided: NDArray[np.bool_],
    *,
    on_progress: Progress = no_progress,
) -> Occlusion | None:
    """Hide evidence in pneumonia images that were `decided` (n,) pneumonia, at most MOST_HIDDEN of them.

    None without `maps` (n, side, side) or with fewer than two such images.
    """
    places = np.flatnonzero(decided & (dataset.labels == 1))
    if maps is None or len(places) < 2:
        return None
    kept = np.sort(np.random.default_rng(SEED).permutation(places)[:MOST_HIDDEN])
    classify = _counted(lambda images: box_outputs(classifier, images).logits, on_progress)
    patients = [dataset.patients[place] for place in kept]
    return occlusion(classify, dataset.images[kept], maps[kept], patients, seed=SEED)


def _counted(classify: Callable[[Images], Floats], on_progress: Progress) -> Callable[[Images], Floats]:
    """Report each call: the images, their brightest parts hidden, and then DRAWS other parts hidden."""
    done = 0

    def watched(images: Images) -> Floats:
        nonlocal done
        logits = classify(images)
        done += 1
        on_progress("hiding evidence", done, 2 + DRAWS)
        return logits

    return watched
