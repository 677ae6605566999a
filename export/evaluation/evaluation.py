"""Evaluate: what a box predicts of held-out images comes in; every figure of the model card goes out.

Images of sources whose labels do not count are never pooled with the others: a source with a single label gives
itself away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.bundle.manifest import ModelDescription
from device.inference.classifier import Classifier
from export.evaluation.baseline import (
    INT8,
    BaselineComparison,
    Decisions,
    SystemFigures,
    compare_with_baseline,
    system_figures,
)
from export.evaluation.curves import training_curves
from export.evaluation.measured_model import named
from export.evaluation.occlusion import Occlusion
from export.evaluation.operating_curve import OperatingCurve, operating_curve
from export.evaluation.sampled_robustness import SampledRobustness, hidden_evidence, sampled_robustness
from export.int8.predictions import (
    HeldOutPredictions,
    PredictionsByName,
    Progress,
    no_progress,
)
from metrics.calibration import Reliability, reliability
from metrics.decision_curve import NetBenefit, decision_curve
from metrics.estimates import Estimate
from metrics.intervals import proportion
from metrics.subgroups import (
    Predictions,
    Separation,
    SubgroupRow,
    age_bands,
    by_subgroup,
    source_separation,
)
from train.calibration.comparison import Calibrated, calibrations
from train.calibration.methods import apply_calibration
from train.calibration.operating_point import HeldOutLogits
from train.calibration.thresholds import Thresholds
from train.data.dataset import LabelledImages
from train.data.selection import measured_mask, select
from train.networks.predictor import ModelOutputs
from train.run.measures import flag_counts
from train.run.report import RunSummary
from train.run.trained_run import TrainedRun

Flags = Mapping[str, Mapping[str, int]]
"""Number of images by flag and label."""
EVERY_SOURCE = "test images of every source"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationInput:
    """What is evaluated: a run's network on a box. `baseline` is another run's folder, or None."""

    run: TrainedRun
    model: ModelDescription
    classifier: Classifier
    predictions: PredictionsByName
    baseline: Path | None = None

    @property
    def outlier_threshold(self) -> float | None:
        """None: every image is classified."""
        return None if self.model.outliers is None else self.model.outliers.threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutFigures:
    """The test images whose labels count. Images that the box would refuse still count, except in `refused`.

    `prevalence` is the share of pneumonia that probabilities and `net_benefit` refer to, None: the images' own.
    """

    images: str
    counts: Mapping[str, int]
    model: SystemFigures
    operating: OperatingCurve
    reliability: Reliability
    calibrations: tuple[Calibrated, ...]
    prevalence: float | None
    net_benefit: tuple[NetBenefit, ...]
    refused: Estimate | None
    groups: tuple[SubgroupRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherImages:
    """Images beside those: all test images where some do not count, or another manifest's.

    With several sources `groups` has no row of all images: such a row would describe no hospital.
    """

    name: str
    counts: Mapping[str, int]
    sources: tuple[str, ...]
    flags: Mapping[str, Flags]
    refused: Estimate | None
    groups: tuple[SubgroupRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """All figures. `seeds` are in Keras, on the run's test images."""

    test: HeldOutFigures
    further: tuple[FurtherImages, ...]
    separation: tuple[Separation, ...]
    robustness: SampledRobustness
    occlusion: Occlusion | None
    seeds: RunSummary
    baseline: BaselineComparison | None

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return asdict(self)


def evaluate_on_box(inputs: EvaluationInput, *, on_progress: Progress = no_progress) -> Evaluation:
    """Evaluate the predictions of `test` and all others. Takes minutes, as every corruption is classified.

    Raises RunError for a baseline that does not fit.
    """
    run, test = inputs.run, inputs.predictions["test"]
    counted = measured_mask(run.recipe.data, test.dataset)
    dataset, logits = select(test.dataset, counted), test.int8.logits[counted]
    decisions = Decisions(logits=logits, decided=logits >= run.operating_logit)
    maps = None if test.int8.evidence is None else test.int8.evidence[counted]
    baseline = None
    if inputs.baseline is not None:
        baseline = compare_with_baseline(inputs.model.name, dataset, decisions, run, inputs.baseline)
    return Evaluation(
        test=_test_figures(inputs, counted),
        further=_further(inputs, counted),
        separation=separation(inputs.predictions),
        robustness=sampled_robustness(
            inputs.classifier,
            dataset,
            operating_logit=run.operating_logit,
            outlier_threshold=inputs.outlier_threshold,
            on_progress=on_progress,
        ),
        occlusion=hidden_evidence(inputs.classifier, dataset, maps, decisions.decided, on_progress=on_progress),
        seeds=run.summary,
        baseline=baseline,
    )


def _test_figures(inputs: EvaluationInput, counted: NDArray[np.bool_]) -> HeldOutFigures:
    run, point, section = inputs.run, inputs.model.thresholds, inputs.run.recipe.operating_point
    dataset = select(inputs.predictions["test"].dataset, counted)
    predicted = _predicted(inputs, inputs.predictions["test"], counted)
    probabilities, positive, patients = predicted.probabilities, predicted.positive, predicted.patients
    decisions = Decisions(logits=predicted.logits, decided=predicted.called)
    return HeldOutFigures(
        images=named(dataset),
        counts=dataset.counts(),
        model=system_figures(inputs.model.name, INT8, dataset, decisions, training_curves(run)),
        operating=operating_curve(probabilities, dataset.labels, flag_at=point.flag_at, clear_below=point.clear_below),
        reliability=reliability(probabilities, positive, patients),
        calibrations=calibrations(
            run.operating_logits,
            HeldOutLogits(logits=predicted.logits, labels=dataset.labels),
            patients,
            prevalence=section.prevalence,
            in_force=(section.calibration, run.operating.calibration),
        ),
        prevalence=section.prevalence,
        net_benefit=decision_curve(probabilities, positive, patients, prevalence=section.prevalence),
        refused=_share(predicted.refused),
        groups=by_subgroup(predicted, columns(dataset)),
    )


def _predicted(inputs: EvaluationInput, predictions: HeldOutPredictions, chosen: NDArray[np.bool_]) -> Predictions:
    """Return what the box predicts of the `chosen` images (n,)."""
    dataset, logits = select(predictions.dataset, chosen), predictions.int8.logits[chosen]
    refusals = refused(predictions.int8, inputs.outlier_threshold)
    return Predictions(
        positive=dataset.labels == 1,
        patients=dataset.patients,
        logits=logits,
        probabilities=apply_calibration(inputs.run.operating.calibration, logits),
        called=logits >= inputs.run.operating_logit,
        refused=None if refusals is None else refusals[chosen],
    )


def refused(outputs: ModelOutputs, threshold: float | None) -> NDArray[np.bool_] | None:
    """Return which images (n,) the out-of-distribution check refuses; None without a check.

    As on a box, a distance that is not a number is refused too.
    """
    if threshold is None or outputs.distances is None:
        return None
    return ~(outputs.distances <= threshold)


def columns(dataset: LabelledImages) -> dict[str, Sequence[str]]:
    """Return the columns that images are grouped by."""
    return {
        "source": dataset.sources,
        "tier": tuple(dataset.table["tier"]),
        "view": tuple(dataset.table["view"]),
        "sex": tuple(dataset.table["sex"]),
        "age": age_bands(dataset.ages),
    }


def _further(inputs: EvaluationInput, counted: NDArray[np.bool_]) -> tuple[FurtherImages, ...]:
    every_source = {} if counted.all() else {EVERY_SOURCE: inputs.predictions["test"]}
    further = {name: one for name, one in inputs.predictions.items() if name not in {"test", "operating"}}
    return tuple(_further_images(inputs, name, one) for name, one in {**every_source, **further}.items())


def _further_images(inputs: EvaluationInput, name: str, predictions: HeldOutPredictions) -> FurtherImages:
    dataset, point = predictions.dataset, inputs.model.thresholds
    predicted = _predicted(inputs, predictions, np.ones(len(dataset), bool))
    thresholds = Thresholds(flag_at=point.flag_at, clear_below=point.clear_below, aim="")
    source_of_each = np.array(dataset.sources)
    sources = tuple(sorted(set(dataset.sources)))
    flags = {
        source: flag_counts(
            predicted.probabilities[source_of_each == source], dataset.labels[source_of_each == source], thresholds
        )
        for source in sources
    }
    whole, *parts = by_subgroup(predicted, columns(dataset))
    return FurtherImages(
        name=name,
        counts=dataset.counts(),
        sources=sources,
        flags=flags,
        refused=_share(predicted.refused),
        groups=tuple(parts) if len(sources) > 1 else (whole, *parts),
    )


def separation(predictions: PredictionsByName) -> tuple[Separation, ...]:
    """Compare sources over the test images and all further ones; a set that names no sources counts as one."""
    shown = {name: one for name, one in predictions.items() if name != "operating"}
    sources = [source or name for name, one in shown.items() for source in one.dataset.sources]
    logits = np.concatenate([one.int8.logits for one in shown.values()])
    labels = np.concatenate([one.dataset.labels for one in shown.values()])
    return source_separation(logits, labels == 1, sources)


def _share(chosen: NDArray[np.bool_] | None) -> Estimate | None:
    return None if chosen is None else proportion(int(chosen.sum()), len(chosen))
