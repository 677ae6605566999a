"""Evaluate: what a box predicts of held-out images comes in; every figure of the model card goes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.evaluation.baseline import (
    INT8,
    BaselineComparison,
    Decisions,
    SystemFigures,
    compare_with_baseline,
    system_figures,
)
from export.evaluation.curves import training_curves
from export.evaluation.evaluation_input import EvaluationInput, refused_share, subgroup_columns
from export.evaluation.measured_model import named
from export.evaluation.occlusion import Occlusion
from export.evaluation.operating_curve import OperatingCurve, operating_curve
from export.evaluation.other_sources import FurtherImages, further_images, separation
from export.evaluation.sampled_robustness import SampledRobustness, hidden_evidence, sampled_robustness
from export.int8.predictions import Progress, no_progress
from metrics.calibration import Reliability, reliability
from metrics.decision_curve import NetBenefit, decision_curve
from metrics.estimates import Estimate
from metrics.subgroups import Separation, SubgroupRow, by_subgroup
from train.calibration.comparison import Calibrated, calibrations
from train.calibration.operating_point import HeldOutLogits
from train.data.selection import measured_mask, select
from train.run.report import RunSummary


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
        further=further_images(inputs, counted),
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
    predicted = inputs.predicted(inputs.predictions["test"], counted)
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
        refused=refused_share(predicted),
        groups=by_subgroup(predicted, subgroup_columns(dataset)),
    )
