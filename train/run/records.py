"""The JSON files of a run as typed records; `train.run.training` writes them, `train.run.run_folder` reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from metrics.evaluation import Evaluation
from train.calibration.methods import Calibration
from train.calibration.thresholds import Thresholds
from train.data.dataset import PARTS, LabelledImages

RUN_FORMAT = 4
"""Rises when a run of this version could no longer be read by the previous one, or the other way round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The number of images of each label, and of their patients."""

    normal: int
    pneumonia: int
    patients: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartCounts(Counts):
    """Counts of a part, with its digest: SHA-256 over its images' digests and labels, in order, hex."""

    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRecord:
    """data.json: the folder the images were read from, and what each part (train, operating, test) holds.

    Images of `without_sources` were left out on request; `left_out` counts all images left out, by reason. `format`
    is RUN_FORMAT.
    """

    format: int
    images: str
    parts: Mapping[str, PartCounts]
    without_sources: tuple[str, ...]
    left_out: Mapping[str, int]

    @classmethod
    def of(
        cls,
        parts: Mapping[str, LabelledImages],
        image_folder: Path,
        *,
        without_sources: Sequence[str] = (),
        left_out: Mapping[str, int] | None = None,
    ) -> Self:
        """Return the record of loaded images."""
        return cls(
            format=RUN_FORMAT,
            images=str(image_folder.resolve()),
            parts={part: PartCounts(digest=parts[part].digest, **parts[part].counts()) for part in PARTS},
            without_sources=tuple(sorted(set(without_sources))),
            left_out=dict(left_out or {}),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingRecord:
    """operating.json: how the network's input and outputs are read, and its operating point.

    `mean` is the grey value that is zero to the network, `bias` is added to the sum of the evidence map.
    `operating_logit` is the logit at which an image is called positive, None for 0. `outlier_threshold` is a distance,
    None without an out-of-distribution check. `images` and `digest` describe the images that chose calibration and
    thresholds.
    """

    mean: float
    bias: float
    calibration: Calibration
    operating_logit: float | None
    thresholds: Thresholds
    outlier_threshold: float | None
    images: Counts
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsRecord:
    """metrics.json: measures in Keras, before quantization, of images whose labels count.

    `operating` and `test` are decided at the operating logit; `test_at_flag` and `test_at_clear` at the two
    thresholds. `test_flags` counts the test images by flag and label.
    """

    operating: Evaluation
    test: Evaluation
    test_at_flag: Evaluation
    test_at_clear: Evaluation
    test_flags: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentRecord:
    """environment.json: what is needed to train the same weights again."""

    seed: int | Literal["averaged"]
    recipe: str
    recipe_digest: str
    data_digest: str
    preprocess_version: int
    python: str
    machine: str
    versions: Mapping[str, str]
