"""The score tables of a seed's folder, written and read."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from train.calibration.operating_point import HeldOutLogits
from train.data.dataset import LabelledImages
from train.networks.predictor import ModelOutputs

SCORES, OPERATING_SCORES, DECISIONS = "scores.csv", "operating_scores.csv", "decisions.csv"


def write_scores(
    path: Path, dataset: LabelledImages, found: ModelOutputs, counted: NDArray[np.bool_] | None = None
) -> None:
    """case_id, true label, uncalibrated score, logit; distance from known images; whether the image's label counts.

    Fits `compare-files --reads`.
    """
    far = [""] * len(dataset) if found.distances is None else [f"{distance:.6g}" for distance in found.distances]
    counts = np.ones(len(dataset), int) if counted is None else counted.astype(int)
    lines = zip(dataset.files, dataset.labels, expit(found.logits), found.logits, far, counts, strict=True)
    header = ("case_id", "label", "score", "logit", "distance", "counted")
    write_csv(path, header, [(c, int(y), f"{s:.9g}", f"{z:.9g}", d, n) for c, y, s, z, d, n in lines])


def counted_scores(folder: Path) -> pd.DataFrame:
    """A seed's scores.csv, the images whose labels count."""
    table = pd.read_csv(folder / SCORES)
    return table[table["counted"] == 1] if "counted" in table else table


def read_decided_scores(folder: Path) -> pd.DataFrame:
    """Label, score, logit and decided (0 or 1) of the test images whose labels count, indexed by case_id."""
    decisions = pd.read_csv(folder / DECISIONS).set_index("case_id")["label"].rename("decided")
    return counted_scores(folder).set_index("case_id").join(decisions, how="inner")


def read_operating_logits(folder: Path) -> HeldOutLogits:
    """What chose a seed's operating point: logits in Keras of images that no weight was fitted on."""
    table = pd.read_csv(folder / OPERATING_SCORES)
    return HeldOutLogits(logits=table["logit"].to_numpy(np.float64), labels=table["label"].to_numpy(np.int64))


def write_decisions(
    path: Path, dataset: LabelledImages, logits: NDArray[np.float64], decided: NDArray[np.bool_]
) -> None:
    """case_id, what the network calls it, score. Fits `compare-files --system`."""
    lines = zip(dataset.files, decided, expit(logits), strict=True)
    write_csv(path, ("case_id", "label", "score"), [(c, int(d), f"{s:.9g}") for c, d, s in lines])


def write_csv(path: Path, header: Sequence[str], lines: Sequence[Sequence[Any]]) -> None:
    """A header and lines, UTF-8."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *lines])
