"""Measure a trained network on the test images: its scores, decisions and metrics go into the network's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from metrics.evaluation import evaluate
from train.calibration.methods import apply_calibration
from train.calibration.thresholds import Thresholds
from train.data.dataset import LABELS, LabelledImages
from train.data.selection import measured_mask, select
from train.fitting.train_network import TrainedNetwork
from train.networks.predictor import predict
from train.recipe import DataSection
from train.run.records import MetricsRecord
from train.run.run_folder import METRICS, write_json
from train.run.score_files import DECISIONS, SCORES, write_decisions, write_scores


def write_measures(folder: Path, section: DataSection, dataset: LabelledImages, trained: TrainedNetwork) -> None:
    """Write scores.csv of all test images; metrics.json and decisions.csv of those whose labels count."""
    outputs, point = predict(trained.predictor, dataset.images), trained.point
    counted = measured_mask(section, dataset)
    write_scores(folder / SCORES, dataset, outputs, counted)
    test, logits = select(dataset, counted), outputs.logits[counted]
    probabilities = apply_calibration(point.calibration, logits)
    decided = trained.decided(logits)
    write_decisions(folder / DECISIONS, test, logits, decided)
    positive, operating_logits = test.labels == 1, trained.operating_logits
    record = MetricsRecord(
        operating=evaluate(trained.operating.labels == 1, operating_logits, trained.decided(operating_logits)),
        test=evaluate(positive, logits, decided),
        test_at_flag=evaluate(positive, logits, probabilities >= point.thresholds.flag_at),
        test_at_clear=evaluate(positive, logits, probabilities >= point.thresholds.clear_below),
        test_flags=flag_counts(probabilities, test.labels, point.thresholds),
    )
    write_json(folder / METRICS, asdict(record))


def flag_counts(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], thresholds: Thresholds
) -> Mapping[str, Mapping[str, int]]:
    """Return how many images of each label get each flag, by flag and label. Arrays are (n,), labels 0 or 1."""
    flagged, cleared = probabilities >= thresholds.flag_at, probabilities < thresholds.clear_below
    masks = {"pneumonia": flagged, "review": ~flagged & ~cleared, "clear": cleared}
    return {flag: {n: int((mask & (labels == v)).sum()) for n, v in LABELS.items()} for flag, mask in masks.items()}
