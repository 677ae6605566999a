"""Measured model: the description and the predictions come in; the description with its metrics goes out."""

from __future__ import annotations

from device.bundle.manifest import Metric, ModelDescription, Outliers
from export.evaluation.manifest_metrics import manifest_metrics, metrics_at_thresholds
from export.int8.predictions import HeldOutPredictions, PredictionsByName
from train.calibration.methods import apply_calibration
from train.calibration.ood_threshold import outlier_threshold
from train.data.dataset import LabelledImages
from train.data.selection import image_sources, measured_mask, select
from train.run.trained_run import TrainedRun


def with_training_metrics(model: ModelDescription, run: TrainedRun) -> ModelDescription:
    """Return `model` with the metrics that training measured in Keras; the out-of-distribution threshold stays."""
    metrics = {
        **manifest_metrics(run.metrics.test, ""),
        **manifest_metrics(run.metrics.test_at_flag, "_at_flag"),
        **manifest_metrics(run.metrics.test_at_clear, "_at_clear"),
    }
    measured_on = f"{run.metrics.test.n} test images, in Keras before quantization"
    return model.model_copy(update={"metrics": metrics, "measured_on": measured_on})


def with_int8_metrics(model: ModelDescription, run: TrainedRun, predictions: PredictionsByName) -> ModelDescription:
    """Return `model` with its metrics on a box, and with the out-of-distribution threshold that holds for int8."""
    outliers = int8_outliers(run, model.outliers, predictions["operating"])
    metrics, measured_on = int8_metrics(run, model, predictions["test"])
    return model.model_copy(update={"outliers": outliers, "metrics": metrics, "measured_on": measured_on})


def int8_outliers(run: TrainedRun, outliers: Outliers | None, operating: HeldOutPredictions) -> Outliers | None:
    """Choose the threshold again on the box's own distances: int8 moves every image away from the centres."""
    if outliers is None or operating.int8.distances is None:
        return outliers
    section = run.recipe.outliers
    threshold = outlier_threshold(
        operating.int8.distances, image_sources(operating.dataset), section.false_alarms, section.margin
    )
    return Outliers(threshold=threshold, chosen_on=f"{outliers.chosen_on}; int8 on the device's own code")


def int8_metrics(run: TrainedRun, model: ModelDescription, test: HeldOutPredictions) -> tuple[dict[str, Metric], str]:
    """Return the manifest's `metrics` and `measured_on`, of the test images whose labels count."""
    counted = measured_mask(run.recipe.data, test.dataset)
    dataset, logits = select(test.dataset, counted), test.int8.logits[counted]
    probabilities = apply_calibration(run.operating.calibration, logits)
    decisions = {
        "": logits >= run.operating_logit,
        "_at_flag": probabilities >= model.thresholds.flag_at,
        "_at_clear": probabilities >= model.thresholds.clear_below,
    }
    metrics = metrics_at_thresholds(dataset.labels == 1, logits, decisions)
    return metrics, f"{named(dataset)}, int8 on the device's own code"


def named(dataset: LabelledImages) -> str:
    """Say which images they are, for a reader."""
    counts, sources = dataset.counts(), sorted({source for source in dataset.sources if source})
    origin = f" of {', '.join(sources)}" if sources else ""
    images = f"{counts['normal']} normal and {counts['pneumonia']} pneumonia images{origin}"
    return f"{images}, of patients held out of training"
