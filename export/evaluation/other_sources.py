"""Other sources: predictions of images beside the main ones come in; their figures, source by source, go out.

They are never pooled with the main ones: the label of an image from a source with a single label is known from its
source alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.evaluation.evaluation_input import EvaluationInput, refused_share, subgroup_columns
from export.int8.predictions import HeldOutPredictions, PredictionsByName
from metrics.estimates import Estimate
from metrics.subgroups import Separation, SubgroupRow, by_subgroup, source_separation
from train.calibration.thresholds import Thresholds
from train.run.measures import flag_counts

Flags = Mapping[str, Mapping[str, int]]
"""Number of images by flag and label."""
EVERY_SOURCE = "test images of every source"


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherImages:
    """Images beside the main ones: all test images where some labels do not count, or another manifest's.

    With several sources `groups` has no row of all images: such a row would describe no hospital.
    """

    name: str
    counts: Mapping[str, int]
    sources: tuple[str, ...]
    flags: Mapping[str, Flags]
    refused: Estimate | None
    groups: tuple[SubgroupRow, ...]


def further_images(inputs: EvaluationInput, counted: NDArray[np.bool_]) -> tuple[FurtherImages, ...]:
    """Measure all test images, unless all are `counted` (n,) anyway, and then every further manifest."""
    shown = {} if counted.all() else {EVERY_SOURCE: inputs.predictions["test"]}
    shown |= {name: one for name, one in inputs.predictions.items() if name not in {"test", "operating"}}
    return tuple(_further_images(inputs, name, one) for name, one in shown.items())


def _further_images(inputs: EvaluationInput, name: str, predictions: HeldOutPredictions) -> FurtherImages:
    dataset, point = predictions.dataset, inputs.model.thresholds
    predicted = inputs.predicted(predictions, np.ones(len(dataset), bool))
    thresholds = Thresholds(flag_at=point.flag_at, clear_below=point.clear_below, aim="")
    source_of_each = np.array(dataset.sources)
    sources = tuple(sorted(set(dataset.sources)))
    flags = {
        source: flag_counts(
            predicted.probabilities[source_of_each == source], dataset.labels[source_of_each == source], thresholds
        )
        for source in sources
    }
    whole, *parts = by_subgroup(predicted, subgroup_columns(dataset))
    return FurtherImages(
        name=name,
        counts=dataset.counts(),
        sources=sources,
        flags=flags,
        refused=refused_share(predicted),
        groups=tuple(parts) if len(sources) > 1 else (whole, *parts),
    )


def separation(predictions: PredictionsByName) -> tuple[Separation, ...]:
    """Compare sources over the test images and all further ones; a set that names no sources counts as one."""
    shown = {name: one for name, one in predictions.items() if name != "operating"}
    sources = [source or name for name, one in shown.items() for source in one.dataset.sources]
    logits = np.concatenate([one.int8.logits for one in shown.values()])
    labels = np.concatenate([one.dataset.labels for one in shown.values()])
    return source_separation(logits, labels == 1, sources)
