"""Facts: a trained run and its int8 network come in; the fields of the bundle's manifest go out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from console.errors import ExpectedError
from device.bundle.manifest import InputSpec, OutputSpec
from device.inference.backends.engine import Engine, TensorSpec, build_engine
from device.inference.tensors import input_tensor, level_table, read_outputs
from export.bundle.build_timestamp import now
from export.bundle.writer import metric_fields
from export.int8.predictions import Proof
from export.int8.quantized import Int8
from metrics.evaluation import evaluate
from train.calibration.methods import apply_calibration
from train.calibration.ood_threshold import outlier_threshold
from train.data.dataset import LabelledImages
from train.data.selection import image_sources, label_source_mask, select
from train.networks.predictor import Predictor
from train.run.run_folder import SeedRun

GOLDEN_STEPS = 4
"""A golden logit is a sum of int8 outputs, each of which interpreters round a step or two apart."""
OLDEST_INTERPRETERS = {"ai-edge-litert": "2.1", "tflite-runtime": "2.14"}


class ExportError(ExpectedError):
    """The network must not go to a box; the words say why."""


def network_facts(run: SeedRun, network: Int8) -> dict[str, Any]:
    """The manifest's fields that the run decides; `metrics` are still empty."""
    engine = build_engine(network.tflite, threads=1, backend="cpu")
    operating, release = run.operating, run.recipe.release
    return {
        "schema": 1,
        "created": now(),
        "input": _input(engine.input, run.predictor),
        "outputs": network.outputs,
        "preprocess_version": run.environment["preprocess_version"],
        "quantization": "int8",
        "calibration": operating["calibration"],
        "thresholds": {**operating["thresholds"], "chosen_on": chosen_on(operating["images"])},
        "outliers": _outliers(run),
        "ages": {"min_years": release.min_years, "max_years": release.max_years},
        "golden": {"tolerance_logit": _tolerance(network, engine)},
        "minimum_runtime": OLDEST_INTERPRETERS,
        "metrics": {},
        "measured_on": "",
        "intended_use": release.intended_use,
        "training": {
            "recipe": run.recipe.name,
            "seed": run.seed,
            "data_digest": run.environment["data_digest"],
            "versions": run.environment["versions"],
        },
    }


def chosen_on(counts: Mapping[str, int]) -> str:
    """The films that chose calibration and thresholds."""
    films = f"{counts['normal']} normal and {counts['pneumonia']} pneumonia films"
    return f"{films} of {counts['patients']} patients held out of training and test"


def _outliers(run: SeedRun) -> dict[str, Any] | None:
    threshold = run.operating.get("outlier_threshold")
    if run.predictor.outliers is None or threshold is None:
        return None
    section = run.recipe.outliers
    margin = "" if section.margin == 1 else f", times {section.margin:g}"
    words = f"operating films: {section.false_alarms:.1%} of the source that lies farthest are beyond it{margin}"
    return {"threshold": threshold, "chosen_on": words}


def int8_outliers(run: SeedRun, rule: dict[str, Any] | None, operating: Proof) -> dict[str, Any] | None:
    """The rule with its threshold chosen anew on what the box says: int8 moves every film away from the centres."""
    if rule is None or operating.int8.distances is None:
        return rule
    section = run.recipe.outliers
    threshold = outlier_threshold(
        operating.int8.distances, image_sources(operating.films), section.false_alarms, section.margin
    )
    return {**rule, "threshold": threshold, "chosen_on": f"{rule['chosen_on']}; int8 on the device's own code"}


def _input(found: TensorSpec, predictor: Predictor) -> dict[str, Any]:
    spec = {
        "shape": found.shape, "dtype": found.dtype, "scale": found.scale, "zero_point": found.zero_point,
        "mean": predictor.mean, "tone": predictor.tone,
    }  # fmt: skip
    levels = level_table(InputSpec.model_validate(spec)).astype(np.int64)
    if not np.array_equal(levels, np.arange(256) - 128):
        raise ExportError(
            f"the network's input {found} does not hold every grey value; the mean {predictor.mean} must be whole"
        )
    return spec


def _tolerance(network: Int8, engine: Engine) -> float:
    """The roundings of a map's positions are as often up as down, so they grow with the root of their number."""
    place = network.outputs.get("evidence")
    if place is None:
        return GOLDEN_STEPS * engine.outputs[0].scale
    shown = engine.outputs[place]
    return GOLDEN_STEPS * shown.scale * math.sqrt(math.prod(shown.shape))


def golden_logits(network: Int8, facts: Mapping[str, Any], films: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the network answers of `films` uint8 (n, rows, columns) on this machine, (n,)."""
    engine = build_engine(network.tflite, threads=1, backend="cpu")
    spec, outputs = InputSpec.model_validate(facts["input"]), OutputSpec.model_validate(facts["outputs"])
    levels = level_table(spec)
    return np.array(
        [read_outputs(outputs, engine.run(input_tensor(film, spec, levels))).logit for film in films], np.float32
    )


def int8_metrics(
    run: SeedRun, facts: Mapping[str, Any], dataset: LabelledImages, logits: NDArray[np.float64]
) -> dict[str, Any]:
    """The manifest's figures, of the test films whose labels count, by the box's own answers (n,)."""
    counted = label_source_mask(run.recipe, dataset)
    test, logits = select(dataset, counted), logits[counted]
    probabilities, thresholds = apply_calibration(facts["calibration"], logits), facts["thresholds"]
    decisions = {
        "": decided(run, logits),
        "_at_flag": probabilities >= thresholds["flag_at"],
        "_at_clear": probabilities >= thresholds["clear_below"],
    }
    measured = {end: evaluate(test.labels == 1, logits, chosen).to_dict() for end, chosen in decisions.items()}
    return {"metrics": metric_fields(measured), "measured_on": f"{words(test)}, int8 on the device's own code"}


def decided(run: SeedRun, logits: NDArray[np.float64]) -> NDArray[np.bool_]:
    """What the network calls pneumonia, (n,): at its anchor, where probability is one half, or where likelier."""
    return logits >= decision_logit(run)


def decision_logit(run: SeedRun) -> float:
    """From this logit up a film is called pneumonia: the anchor, or without one the first number above 0."""
    operating_logit = run.operating.get("operating_logit")
    # Numbers below the least normal one are 0 to a processor that TensorFlow has told to flush them.
    return float(np.finfo(np.float64).tiny) if operating_logit is None else float(operating_logit)


def words(dataset: LabelledImages) -> str:
    """Which films they are, for people."""
    counts, sources = dataset.counts(), sorted({source for source in dataset.sources if source})
    origin = f" of {', '.join(sources)}" if sources else ""
    return f"{counts['normal']} normal and {counts['pneumonia']} pneumonia films{origin}, patients apart from training"


def keras_metrics(run: SeedRun) -> dict[str, Any]:
    """The same figures as training left them, where the films are not at hand."""
    parts = {"": "test", "_at_flag": "test_at_flag", "_at_clear": "test_at_clear"}
    measured = {end: run.metrics[part] for end, part in parts.items()}
    return {
        "metrics": metric_fields(measured),
        "measured_on": f"{measured['']['n']} test films, in Keras before quantization",
    }
