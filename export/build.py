"""Build: a trained run and a signing key come in; a signed bundle, proven on the device's own code, goes out."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.backends.engine import TensorFacts, build_engine
from device.bundle import EDGETPU_MODEL, GOLDEN, MODEL, load_bundle
from device.classify import Classifier, level_table, read_outputs
from device.manifest import InputSpec, OutputSpec
from export.audit import Audit, audit
from export.bundle import SigningKey, golden_file, signed_parts, write_bundle
from export.card import model_card
from export.edgetpu import compile_for_coral
from export.golden import golden_inputs
from export.held_out import HeldOut, load_held_out
from export.parity import Parity, compare, device_logits
from export.quantize import to_int8
from train.calibrate import apply_calibration
from train.evaluate import MEASURES, evaluate
from train.fit import scored
from train.model import folded
from train.report import summarise
from train.run import RunError, SeedRun, load_seed

GOLDEN_STEPS = 4
"""A golden logit is a difference of two int8 outputs, each of which interpreters round a step or two apart."""
OLDEST_INTERPRETERS = {"ai-edge-litert": "2.1", "tflite-runtime": "2.14"}
OUTPUTS = {"kind": "logits2", "logit": 0}


class ExportError(Exception):
    """The network must not go to a box; the words say why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for. `notes` stand in the model card.

    `seed` None takes the run's representative seed; `images` None the run's own folder.
    """

    run: Path
    out: Path
    key: SigningKey
    seed: int | None = None
    name: str | None = None
    version: int = 1
    released: bool = False
    expires: datetime | None = None
    images: Path | None = None
    notes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What was written. `parity` None: the films were not at hand."""

    out: Path
    seed: int
    digest: str
    audit: Audit
    parity: Parity | None
    on_coral: bool


def build(order: Order) -> Built:
    """Quantize, audit, prove and sign. Raises RunError, ExportError, BundleError; writes nothing unless all passed."""
    summary = summarise(order.run)
    seed_run = load_seed(order.run, order.seed if order.seed is not None else summary["representative_seed"])
    films, digests = _calibration_films(order.run)
    plain = folded(seed_run.network, seed_run.recipe.network, seed_run.recipe.optimizer)
    network = to_int8(plain, films, mean=seed_run.mean)
    found = audit(network)
    if not found.passed:
        raise ExportError(f"the quantized network is not fit for every board: {_objections(found)}")
    facts, golden = _facts(order, seed_run, network), golden_inputs()
    parts = {
        MODEL: network,
        GOLDEN: golden_file(golden, _golden_logits(network, facts, golden)),
        "audit.json": _json(found.to_dict()),
        "calibration_films.json": _json({"sha256": digests}),
    }
    compiled = compile_for_coral(network)
    if compiled is not None:
        parts[EDGETPU_MODEL] = compiled
    held_out = load_held_out(order.run, order.images)
    facts, parity = _proven(order, seed_run, facts, parts, held_out)
    if parity is not None:
        parts["parity.json"] = _json(parity.to_dict())
    parts["model_card.md"] = model_card(facts, seed_run, summary, found, parity, notes=order.notes).encode()
    write_bundle(order.out, signed_parts(facts, parts, order.key))
    digest = hashlib.sha256(network).hexdigest()
    return Built(
        out=order.out, seed=seed_run.seed, digest=digest, audit=found, parity=parity, on_coral=compiled is not None
    )


def _calibration_films(run: Path) -> tuple[NDArray[np.uint8], list[str]]:
    try:
        with np.load(run / "calibration.npz", allow_pickle=False) as arrays:
            return arrays["images"], [str(digest) for digest in arrays["sha256"]]
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"{run}: calibration.npz cannot be read ({error}); train the run again") from None


def _facts(order: Order, run: SeedRun, network: bytes) -> dict[str, Any]:
    """The manifest's fields; `metrics` are still empty."""
    engine = build_engine(network, threads=1, backend="cpu")
    return {
        "schema": 1,
        "name": order.name or run.recipe.name,
        "version": order.version,
        "released": order.released,
        "created": _now(),
        "expires": order.expires,
        "input": _input(engine.input, run.mean),
        "outputs": OUTPUTS,
        "preprocess_version": run.environment["preprocess_version"],
        "quantization": "int8",
        "calibration": run.operating["calibration"],
        "thresholds": {**run.operating["thresholds"], "chosen_on": _chosen_on(run.operating["films"])},
        "ages": {"min_years": run.recipe.release.min_years, "max_years": run.recipe.release.max_years},
        "golden": {"tolerance_logit": GOLDEN_STEPS * engine.outputs[0].scale},
        "minimum_runtime": OLDEST_INTERPRETERS,
        "metrics": {},
        "measured_on": "",
        "intended_use": run.recipe.release.intended_use,
        "training": {
            "recipe": run.recipe.name,
            "seed": run.seed,
            "data_digest": run.environment["data_digest"],
            "versions": run.environment["versions"],
        },
    }


def _chosen_on(counts: Mapping[str, int]) -> str:
    films = f"{counts['normal']} normal and {counts['pneumonia']} pneumonia films"
    return f"{films} of {counts['patients']} patients held out of training and test"


def _now() -> datetime:
    """SOURCE_DATE_EPOCH (reproducible-builds.org) makes the same run give the same bundle, byte by byte."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC).replace(microsecond=0)


def _input(found: TensorFacts, mean: float) -> dict[str, Any]:
    spec = {
        "shape": found.shape,
        "dtype": found.dtype,
        "scale": found.scale,
        "zero_point": found.zero_point,
        "mean": mean,
    }
    levels = level_table(InputSpec.model_validate(spec)).astype(np.int64)
    if not np.array_equal(levels, np.arange(256) - 128):
        raise ExportError(f"the network's input {found} does not hold every grey value; the mean {mean} must be whole")
    return spec


def _golden_logits(network: bytes, facts: Mapping[str, Any], films: NDArray[np.uint8]) -> NDArray[np.float32]:
    engine = build_engine(network, threads=1, backend="cpu")
    levels, outputs = level_table(InputSpec.model_validate(facts["input"])), OutputSpec.model_validate(facts["outputs"])
    logits = [read_outputs(outputs, engine.run(levels[film][None, ..., None]))[0] for film in films]
    return np.array(logits, np.float32)


def _proven(
    order: Order, run: SeedRun, facts: dict[str, Any], parts: Mapping[str, bytes], held_out: HeldOut | None
) -> tuple[dict[str, Any], Parity | None]:
    """Load the bundle as a box would and judge the held-out films; without films the Keras figures stand."""
    with tempfile.TemporaryDirectory(prefix="pneumoflag-export-") as folder:
        trial = Path(folder) / "trial.bundle"
        write_bundle(trial, signed_parts(facts, parts, order.key))
        classifier = Classifier(load_bundle(trial, [order.key.public]), backend="cpu", threads=1)
        if held_out is None:
            return {**facts, **_keras_metrics(run)}, None
        int8_logits = device_logits(classifier, held_out.images)
    keras_logits = scored(run.network, held_out.images, run.mean)
    parity = compare(keras_logits, int8_logits, classifier)
    if not parity.passed:
        raise ExportError(
            f"int8 flips {parity.label_flips} of {parity.films} labels, at most 0.5 % expected; train with more films "
            "or another seed, and look at the ranges of the calibration films"
        )
    return {**facts, **_int8_metrics(facts, held_out, int8_logits)}, parity


def _int8_metrics(facts: Mapping[str, Any], films: HeldOut, logits: NDArray[np.float64]) -> dict[str, Any]:
    probabilities, thresholds = apply_calibration(facts["calibration"], logits), facts["thresholds"]
    decisions = {
        "": logits > 0,
        "_at_flag": probabilities >= thresholds["flag_at"],
        "_at_clear": probabilities >= thresholds["clear_below"],
    }
    measured = {
        end: evaluate(films.labels, logits, decided, films.patients).to_dict() for end, decided in decisions.items()
    }
    return {"metrics": _metrics(measured), "measured_on": f"{films.words}, int8 on the device's own code"}


def _keras_metrics(run: SeedRun) -> dict[str, Any]:
    parts = {"": "test", "_at_flag": "test_at_flag", "_at_clear": "test_at_clear"}
    measured = {end: run.metrics[part] for end, part in parts.items()}
    return {
        "metrics": _metrics(measured),
        "measured_on": f"{measured['']['n']} test films, in Keras before quantization",
    }


def _metrics(measured: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The ROC AUC knows no threshold and stands once."""
    return {
        f"{name}{end}": measured[end][name] for end in measured for name in MEASURES if not (end and name == "roc_auc")
    }


def _objections(found: Audit) -> str:
    of_operators = [f"{operator.name}: {words}" for operator in found.operators for words in operator.objections]
    return "; ".join([*found.objections, *of_operators])


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
