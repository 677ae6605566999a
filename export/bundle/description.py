"""Describe the model: a trained run and its int8 network come in; what the manifest says of them goes out."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from datetime import datetime

import numpy as np
from pydantic import TypeAdapter

from device.bundle.manifest import (
    Ages,
    Calibration,
    Golden,
    InputSpec,
    ModelDescription,
    OperatingPoint,
    Outliers,
    OutputSpec,
    Training,
)
from device.inference.backends.engine import Engine, TensorSpec, build_engine
from device.inference.tensors import level_table
from export.bundle.writer import build_timestamp
from export.int8.quantized import ExportError, Int8Network
from train.networks.predictor import Predictor
from train.run.run_folder import manifest_seed
from train.run.trained_run import TrainedRun

GOLDEN_STEPS = 4
"""A golden logit is a sum of int8 outputs, each of which interpreters round a step or two apart."""
OLDEST_INTERPRETERS = {"ai-edge-litert": "2.1", "tflite-runtime": "2.14"}
_CALIBRATION: TypeAdapter[Calibration] = TypeAdapter(Calibration)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What the release decides, not the run. `name` None takes the recipe's; `released` is false for a trial."""

    name: str | None = None
    version: int = 1
    released: bool = False
    expires: datetime | None = None


def describe(run: TrainedRun, network: Int8Network, release: Release) -> ModelDescription:
    """Describe the model before it is measured: `metrics` are empty. Raises ExportError."""
    engine = build_engine(network.tflite, threads=1, backend="cpu")
    section, environment = run.recipe.release, run.environment
    return ModelDescription(
        schema=1,
        name=release.name or run.recipe.name,
        version=release.version,
        released=release.released,
        created=build_timestamp(),
        expires=release.expires,
        input=_input(engine.input, run.predictor),
        outputs=network.outputs,
        preprocess_version=environment.preprocess_version,
        quantization="int8",
        calibration=_CALIBRATION.validate_python(run.operating.calibration),
        thresholds=OperatingPoint(**asdict(run.operating.thresholds), chosen_on=_chosen_on(run)),
        outliers=_outliers(run),
        ages=Ages(min_years=section.min_years, max_years=section.max_years),
        golden=Golden(tolerance_logit=_tolerance(network.outputs, engine)),
        minimum_runtime=OLDEST_INTERPRETERS,
        metrics={},
        measured_on="",
        intended_use=section.intended_use,
        licence=section.licence,
        training=Training(
            recipe=run.recipe.name,
            seed=manifest_seed(run.seed),
            data_digest=run.environment.data_digest,
            versions=dict(run.environment.versions),
        ),
    )


def _chosen_on(run: TrainedRun) -> str:
    counts = run.operating.images
    images = f"{counts.normal} normal and {counts.pneumonia} pneumonia images"
    return f"{images} of {counts.patients} patients held out of training and test"


def _outliers(run: TrainedRun) -> Outliers | None:
    if run.predictor.outliers is None or run.operating.outlier_threshold is None:
        return None
    section = run.recipe.outliers
    margin = "" if section.margin == 1 else f", times {section.margin:g}"
    share = f"{section.false_alarms:.1%} of the source that lies farthest are beyond it"
    return Outliers(threshold=run.operating.outlier_threshold, chosen_on=f"operating images: {share}{margin}")


def _input(tensor: TensorSpec, predictor: Predictor) -> InputSpec:
    spec = InputSpec.model_validate(
        {
            "shape": tensor.shape,
            "dtype": tensor.dtype,
            "scale": tensor.scale,
            "zero_point": tensor.zero_point,
            "mean": predictor.mean,
        }
    )
    levels = level_table(spec).astype(np.int64)
    if not np.array_equal(levels, np.arange(256) - 128):
        raise ExportError(
            f"the network's input {tensor} does not hold every grey value; expected a whole mean, got {predictor.mean}"
        )
    return spec


def _tolerance(outputs: OutputSpec, engine: Engine) -> float:
    """Rounding errors of a map's positions are independent, so their sum grows with the root of their number."""
    if outputs.evidence is None:
        return GOLDEN_STEPS * engine.outputs[0].scale
    evidence = engine.outputs[outputs.evidence]
    return GOLDEN_STEPS * evidence.scale * math.sqrt(math.prod(evidence.shape))
