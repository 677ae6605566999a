"""The manifest of a bundle: what the box must know about the model, as checked, frozen values.

Written by `pneumoflag-export`, read by the box. Unknown fields are errors: a box must not run a model that it
understands only in part.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from device.preprocess.intensity import IntensityNormalization

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[FiniteFloat, Field(gt=0.0)]


class Part(BaseModel):
    """Base of all parts: unknown fields are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class InputSpec(Part):
    """The network's input: `(grey - mean) / 255 = (q - zero_point) * scale`, grey from 0 (black) to 255 (white)."""

    shape: tuple[Literal[1], int, int, Literal[1]] = Field(description="batch, rows, columns, channels")
    dtype: Literal["int8"]
    scale: Positive
    zero_point: int = Field(ge=-128, le=127)
    mean: FiniteFloat = Field(0.0, ge=0.0, le=255.0, description="grey value that is zero to the network")
    normalization: IntensityNormalization = Field(
        "none", alias="tone", description="intensity normalization of the preprocessed image"
    )


class OutputSpec(Part):
    """The network's outputs: logits and not probabilities, so that int8 keeps its resolution."""

    kind: Literal["logits2", "logit", "evidence"] = Field(
        description="logits2: (normal, pneumonia), logit is their difference; evidence: sum over the map, plus bias"
    )
    logit: int | None = Field(0, ge=0, description="index of the output with the logit or the two logits")
    evidence: int | None = Field(None, ge=0, description="index of the output with the evidence map")
    bias: FiniteFloat = Field(0.0, description="added to the sum of an evidence map")
    features: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (), description="indices of the outputs that are concatenated to the features of an image"
    )

    @model_validator(mode="after")
    def _has_its_index(self) -> Self:
        if (self.evidence if self.kind == "evidence" else self.logit) is None:
            raise ValueError(f"outputs of kind {self.kind}: expected the index of that output, got null")
        return self


class NoCalibration(Part):
    """The probability is the sigmoid of the logit."""

    method: Literal["none"] = "none"

    def apply(self, logit: float) -> float:
        """Return the probability of a logit."""
        return sigmoid(logit)


class Platt(Part):
    """Platt (1999): sigmoid(a * logit + b)."""

    method: Literal["platt"] = "platt"
    a: Positive
    b: FiniteFloat

    def apply(self, logit: float) -> float:
        """Return the probability of a logit."""
        return sigmoid(self.a * logit + self.b)


class Temperature(Part):
    """Guo et al. (2017): sigmoid(logit / t)."""

    method: Literal["temperature"] = "temperature"
    t: Positive

    def apply(self, logit: float) -> float:
        """Return the probability of a logit."""
        return sigmoid(logit / self.t)


class Isotonic(Part):
    """Zadrozny and Elkan (2002): linear between the points (logit, probability), constant outside them."""

    method: Literal["isotonic"] = "isotonic"
    logits: tuple[FiniteFloat, ...] = Field(min_length=2, max_length=4096)
    probabilities: tuple[Fraction, ...]

    @model_validator(mode="after")
    def _is_monotone(self) -> Self:
        if len(self.logits) != len(self.probabilities):
            raise ValueError("expected as many probabilities as logits")
        if any(b <= a for a, b in pairwise(self.logits)) or any(b < a for a, b in pairwise(self.probabilities)):
            raise ValueError("expected rising logits with probabilities that never fall")
        return self

    def apply(self, logit: float) -> float:
        """Return the probability of a logit."""
        if logit <= self.logits[0]:
            return self.probabilities[0]
        for (x0, x1), (y0, y1) in zip(pairwise(self.logits), pairwise(self.probabilities), strict=True):
            if logit <= x1:
                return y1 - (y1 - y0) * (x1 - logit) / (x1 - x0)  # exact at the points
        return self.probabilities[-1]


Calibration = Annotated[NoCalibration | Platt | Temperature | Isotonic, Field(discriminator="method")]


class OperatingPoint(Part):
    """The thresholds on the calibrated probability, and how they were chosen."""

    flag_at: Fraction
    clear_below: Fraction
    chosen_on: str = Field(description="the images that chose them; never those of the test set")
    aim: str = Field(description="the requirement that they meet")

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.clear_below > self.flag_at:
            raise ValueError(f"expected clear_below <= flag_at, got {self.clear_below} and {self.flag_at}")
        return self


class Outliers(Part):
    """Which images must not be classified: those farther from the training images than `threshold`."""

    threshold: Positive = Field(description="on the squared distance of `outliers.npz`")
    chosen_on: str = Field(description="the images that chose it, and the share of them that it rejects")


class Ages(Part):
    """The ages that the model may classify, in years, both ends included; the gate reads them here."""

    min_years: int = Field(ge=0, le=150)
    max_years: int | None = Field(None, ge=0, le=150)


class Metric(Part):
    """A figure with its confidence interval."""

    value: FiniteFloat | None
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    method: str = Field(description="how the interval was computed")


class Golden(Part):
    """How close the outputs for golden.npz must be."""

    tolerance_logit: Positive = Field(
        description="largest difference of a logit: interpreters differ by a step or two in rounding int8 sums"
    )


class Training(Part):
    """What made the weights."""

    recipe: str
    seed: int
    data_digest: Digest = Field(description="over the digests of the training images, in order")
    versions: dict[str, str] = Field(default_factory=dict)


class ModelDescription(Part):
    """All that a manifest says of the model, before the bundle's files are known and signed."""

    schema_version: Literal[1] = Field(alias="schema")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    version: int = Field(ge=1, description="rises with every release of this name")
    released: bool = Field(description="false: for trials, not for boxes in use")
    labels: tuple[str, str] = ("normal", "pneumonia")
    created: AwareDatetime
    expires: AwareDatetime | None = None
    input: InputSpec
    outputs: OutputSpec
    preprocess_version: int = Field(ge=1)
    quantization: str
    calibration: Calibration
    thresholds: OperatingPoint
    outliers: Outliers | None = Field(None, description="null: every image gets a flag")
    ages: Ages
    golden: Golden
    minimum_runtime: dict[str, str] = Field(description="interpreter to the oldest version that runs the network")
    metrics: dict[str, Metric]
    measured_on: str = Field("", description="the images of the metrics")
    intended_use: str
    licence: str = Field("", description="of the weights: what the licences of the training images impose")
    training: Training

    @model_validator(mode="after")
    def _features_for_outliers(self) -> Self:
        if self.outliers is not None and not self.outputs.features:
            raise ValueError("outliers: expected outputs.features to name outputs, got none")
        return self


class Manifest(ModelDescription):
    """A whole manifest: the model, who signed it, and what the other files of the bundle are."""

    signed_by: str = Field(pattern=r"^[0-9a-f]{16}$", description="key id of the signer")
    files: dict[FileName, Digest] = Field(description="SHA-256 of every other file of the bundle")


def sigmoid(logit: float) -> float:
    """Return the logistic function, without overflow."""
    if logit >= 0.0:
        return 1.0 / (1.0 + math.exp(-logit))
    odds = math.exp(logit)
    return odds / (1.0 + odds)
