"""The score tables of a network's folder, written and read."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from train.calibration.operating_point import HeldOutLogits
from train.data.dataset import LabelledImages
from train.networks.predictor import ModelOutputs

SCORES, OPERATING_SCORES, DECISIONS = "scores.csv", "operating_scores.csv", "decisions.csv"


def write_scores(
    path: Path, dataset: LabelledImages, outputs: ModelOutputs, counted: NDArray[np.bool_] | None = None
) -> None:
    """Write each image's case_id, label, uncalibrated score, logit, distance, and whether its label counts.

    The distance is that of the out-of-distribution check, "" without one. `compare-files --reads` takes the file.
    """
    far = [""] * len(dataset) if outputs.distances is None else [f"{distance:.6g}" for distance in outputs.distances]
    counts = np.ones(len(dataset), int) if counted is None else counted.astype(int)
    lines = zip(dataset.files, dataset.labels, expit(outputs.logits), outputs.logits, far, counts, strict=True)
    header = ("case_id", "label", "score", "logit", "distance", "counted")
    write_csv(path, header, [(c, int(y), f"{s:.9g}", f"{z:.9g}", d, n) for c, y, s, z, d, n in lines])


def counted_scores(folder: Path) -> pd.DataFrame:
    """Return a network's scores.csv, the images whose labels count."""
    table = pd.read_csv(folder / SCORES)
    return table[table["counted"] == 1] if "counted" in table else table


def read_decided_scores(folder: Path) -> pd.DataFrame:
    """Return label, score, logit and decided (0 or 1) of the test images whose labels count, by case_id."""
    decisions = pd.read_csv(folder / DECISIONS).set_index("case_id")["label"].rename("decided")
    return counted_scores(folder).set_index("case_id").join(decisions, how="inner")


def read_operating_logits(folder: Path) -> HeldOutLogits:
    """Return the Keras logits of the images that chose a network's operating point; no weight was fitted on them."""
    table = pd.read_csv(folder / OPERATING_SCORES)
    return HeldOutLogits(logits=table["logit"].to_numpy(np.float64), labels=table["label"].to_numpy(np.int64))


def write_decisions(
    path: Path, dataset: LabelledImages, logits: NDArray[np.float64], decided: NDArray[np.bool_]
) -> None:
    """Write each image's case_id, decision (0 or 1) and score. `compare-files --system` takes the file."""
    lines = zip(dataset.files, decided, expit(logits), strict=True)
    write_csv(path, ("case_id", "label", "score"), [(c, int(d), f"{s:.9g}") for c, d, s in lines])


def write_csv(path: Path, header: Sequence[str], lines: Sequence[Sequence[object]]) -> None:
    """Write a header and lines, UTF-8."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *lines])
