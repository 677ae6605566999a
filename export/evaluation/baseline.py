"""Baseline: a box's decisions on test images and another run come in; both on the images they share, paired, go out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from export.evaluation.curves import (
    Roc,
    TrainingCurve,
    roc,
    training_curves,
)
from metrics.estimates import Difference, Floats
from metrics.evaluation import Evaluation, evaluate
from metrics.paired import McNemar, mcnemar, paired_bootstrap
from metrics.roc import roc_auc_difference
from train.data.dataset import LabelledImages
from train.data.selection import select
from train.run.run_folder import RunError
from train.run.trained_run import TrainedRun, load_trained_run

INT8, KERAS = "int8, by the device's own code", "float, by Keras"


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFigures:
    """One network on the images; `form` says how it was run, such as int8 by the device's own code."""

    name: str
    form: str
    figures: Evaluation
    roc: Roc
    training: tuple[TrainingCurve, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineComparison:
    """The model and a baseline on `images` test images that neither trained on; differences are model minus baseline.

    `left_out` of the model's test images are not the baseline's. `auc` is None with fewer than two images of a class.
    """

    images: int
    normal: int
    pneumonia: int
    left_out: int
    model: SystemFigures
    baseline: SystemFigures
    auc: Difference | None
    mcnemar: McNemar
    balanced_accuracy: Difference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """A network's `logits` of n images, and whether it classified them as pneumonia, both (n,)."""

    logits: Floats
    decided: NDArray[np.bool_]


def system_figures(
    name: str, form: str, dataset: LabelledImages, decisions: Decisions, training: tuple[TrainingCurve, ...]
) -> SystemFigures:
    """Measure one network on `dataset`, which has images of both classes."""
    return SystemFigures(
        name=name,
        form=form,
        training=training,
        figures=evaluate(dataset.labels == 1, decisions.logits, decisions.decided),
        roc=roc(dataset.labels == 1, decisions.logits, decisions.decided),
    )


def compare_with_baseline(
    name: str, dataset: LabelledImages, decisions: Decisions, run: TrainedRun, baseline: Path
) -> BaselineComparison:
    """Pair the box's `decisions` on `dataset`, the run's test images whose labels count, with the baseline's.

    Images are the same by the digest of their file and by label, whatever a manifest calls them. Raises RunError where
    the runs do not share images of both classes, or are the same.
    """
    if baseline.resolve() == run.folder.resolve():
        raise RunError(f"{baseline}: is the run itself; name another run with --baseline")
    baseline_run = load_trained_run(baseline)
    scores = baseline_run.test_scores
    shared = (pd.Series(dataset.digests).map(scores["label"]) == dataset.labels).to_numpy(np.bool_)
    common = select(dataset, shared)
    if len(set(common.labels.tolist())) < 2:
        raise RunError(
            f"{baseline}: expected test images of both classes in common with {run.folder}, got {len(common)} images; "
            "name a run that was measured on the same ones"
        )
    rows = scores.loc[list(common.digests)]
    model = Decisions(logits=decisions.logits[shared], decided=decisions.decided[shared])
    other = Decisions(logits=rows["logit"].to_numpy(np.float64), decided=rows["decided"].to_numpy(np.int64) == 1)
    counts, positive = common.counts(), common.labels == 1
    return BaselineComparison(
        images=len(common),
        normal=counts["normal"],
        pneumonia=counts["pneumonia"],
        left_out=len(dataset) - len(common),
        model=system_figures(name, INT8, common, model, training_curves(run)),
        baseline=system_figures(baseline_run.recipe.name, KERAS, common, other, training_curves(baseline_run)),
        auc=roc_auc_difference(positive, model.logits, other.logits),
        mcnemar=mcnemar(model.decided == positive, other.decided == positive),
        balanced_accuracy=paired_bootstrap(positive, model.decided, other.decided, common.patients),
    )
