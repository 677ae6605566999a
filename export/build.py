"""Build: a trained run and a signing key come in; a signed bundle, proven on the device's own code, goes out."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from device.bundle.loader import (
    EDGETPU_MODEL,
    GOLDEN,
    MODEL,
    OUTLIERS,
    load_bundle,
)
from device.inference.classifier import Classifier
from export.bundle.golden import golden_inputs
from export.bundle.manifest_fields import (
    ExportError,
    decision_logit,
    golden_logits,
    int8_metrics,
    int8_outliers,
    keras_metrics,
    network_facts,
)
from export.bundle.writer import (
    SigningKey,
    arrays_file,
    golden_file,
    signed_parts,
    write_bundle,
)
from export.card.content import Story
from export.card.render import card_parts
from export.evaluation.evaluation import Evaluation, Subject, evaluated
from export.int8.audit import Audit, audit
from export.int8.edgetpu import compile_for_coral
from export.int8.held_out import (
    MOVED,
    Extra,
    load_extra,
    load_held_out,
)
from export.int8.layer_table import spoilt_layers
from export.int8.parity import MAX_FLIPPED_SHARE, Parity, compare
from export.int8.predictions import (
    Progress,
    Proof,
    proven,
    silent,
)
from export.int8.quantized import Int8, quantized
from train.run.report import RunSummary, released_network, summarise
from train.run.run_folder import RunError, SeedRun, load_seed

__all__ = ["Built", "ExportError", "Extra", "Order", "build"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for. `notes` stand in the model card; films of `also` are judged besides the run's own, by name.

    `seed` None takes the mean of all seeds, else the representative one; `images` None the run's own folder.
    `baseline` is another run, to be held against this one in the model card. `most_flips`: see `export.int8.parity`.
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
    also: tuple[Extra, ...] = ()
    baseline: Path | None = None
    most_flips: float = MAX_FLIPPED_SHARE


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What was written. `parity` None: the films were not at hand."""

    out: Path
    seed: int
    digest: str
    audit: Audit
    parity: Parity | None
    on_coral: bool


def build(order: Order, *, on_progress: Progress = silent) -> Built:
    """Quantize, audit, prove and sign. Raises RunError, ExportError, BundleError; writes nothing unless all passed."""
    measured = summarise(order.run)
    summary, run = measured.to_dict(), load_seed(order.run, _seed(order, measured))
    films, digests = _calibration_films(order.run)
    network = quantized(run, films)
    found = _fit_for_boards(network)
    facts = {**_order_facts(order, run), **network_facts(run, network)}
    parts = {**_network_parts(run, network, facts), "audit.json": _json(found.to_dict())}
    parts["calibration_films.json"] = _json({"sha256": digests})
    classifier = _on_trial(order, facts, parts)
    proofs = _proofs(order, run, classifier, on_progress)
    facts["outliers"] = int8_outliers(run, facts["outliers"], proofs["operating"]) if proofs else facts["outliers"]
    parity = _parity(
        order,
        run,
        Judgement(proofs, classifier),
        lambda: spoilt_layers(run, films, proofs["test"].films.images, order.out),
    )
    if parity is not None:
        parts["parity.json"] = _json(parity.to_dict())
    facts |= (
        int8_metrics(run, facts, proofs["test"].films, proofs["test"].int8.logits) if proofs else keras_metrics(run)
    )
    subject = Subject(
        folder=order.run, run=run, summary=summary, facts=facts, classifier=classifier, proofs=proofs,
        baseline=order.baseline,
    )  # fmt: skip
    parts |= _told(order, subject, found, parity, on_progress)
    write_bundle(order.out, signed_parts(facts, parts, order.key))
    return Built(
        out=order.out, seed=run.seed, digest=hashlib.sha256(network.tflite).hexdigest(), audit=found, parity=parity,
        on_coral=EDGETPU_MODEL in parts,
    )  # fmt: skip


def _seed(order: Order, summary: RunSummary) -> int:
    """The one asked for; else the mean of all, where there is one; else the typical one."""
    if order.seed is not None:
        return order.seed
    return released_network(order.run, summary)


def _told(
    order: Order, subject: Subject, found: Audit, parity: Parity | None, on_progress: Progress
) -> dict[str, bytes]:
    """The parts for people, and the evaluation where the films are at hand."""
    evaluation = evaluated(subject, on_progress=on_progress) if subject.proofs else None
    story = Story(
        facts=subject.facts, recipe=subject.run.recipe, summary=subject.summary, audit=found, parity=parity,
        evaluation=evaluation, notes=order.notes,
    )  # fmt: skip
    return card_parts(story) if evaluation is None else {**card_parts(story), "evaluation.json": _measures(evaluation)}


def _measures(evaluation: Evaluation) -> bytes:
    """Fails on a figure that is no number, as JSON has none."""
    return (json.dumps(evaluation.to_dict(), indent=1, allow_nan=False) + "\n").encode()


def _calibration_films(run: Path) -> tuple[NDArray[np.uint8], list[str]]:
    try:
        with np.load(run / "calibration.npz", allow_pickle=False) as arrays:
            return arrays["images"], [str(digest) for digest in arrays["sha256"]]
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"{run}: calibration.npz cannot be read ({error}); train the run again") from None


def _fit_for_boards(network: Int8) -> Audit:
    found = audit(network.tflite)
    if not found.passed:
        raise ExportError(f"the quantized network is not fit for every board: {_objections(found)}")
    return found


def _objections(found: Audit) -> str:
    of_operators = [f"{operator.name}: {words}" for operator in found.operators for words in operator.objections]
    return "; ".join([*found.objections, *of_operators])


def _order_facts(order: Order, run: SeedRun) -> dict[str, Any]:
    return {
        "name": order.name or run.recipe.name, "version": order.version, "released": order.released,
        "expires": order.expires,
    }  # fmt: skip


def _network_parts(run: SeedRun, network: Int8, facts: Mapping[str, Any]) -> dict[str, bytes]:
    golden = golden_inputs()
    parts = {MODEL: network.tflite, GOLDEN: golden_file(golden, golden_logits(network, facts, golden))}
    rule = run.predictor.outliers
    if rule is not None and facts["outliers"] is not None:
        parts[OUTLIERS] = arrays_file(centres=rule.centres, whiten=rule.whiten)
    compiled = compile_for_coral(network.tflite)
    return parts if compiled is None else {**parts, EDGETPU_MODEL: compiled}


def _on_trial(order: Order, facts: Mapping[str, Any], parts: Mapping[str, bytes]) -> Classifier:
    """Loaded as a box would load it."""
    with tempfile.TemporaryDirectory(prefix="pneumoflag-export-") as folder:
        trial = Path(folder) / "trial.bundle"
        write_bundle(trial, signed_parts(facts, parts, order.key))
        return Classifier(load_bundle(trial, [order.key.public]), backend="cpu", threads=1)


def _proofs(order: Order, run: SeedRun, classifier: Classifier, on_progress: Progress) -> dict[str, Proof]:
    """By part, then by file name of the further manifests; empty when the run's films are not at hand."""
    held_out = load_held_out(order.run, order.images)
    if held_out is None:
        if order.baseline is not None:
            raise RunError(f"{order.run}: its films are not at hand to hold against a baseline; {MOVED}")
        return {}
    sets = held_out | {extra.manifest.stem: load_extra(extra) for extra in order.also}
    return proven(run.predictor, classifier, sets, on_progress=on_progress)


class Judgement(NamedTuple):
    """What was judged, and by which box."""

    proofs: Mapping[str, Proof]
    classifier: Classifier


def _parity(order: Order, run: SeedRun, found: Judgement, blame: Callable[[], str]) -> Parity | None:
    """Raises ExportError, with the words of `blame`."""
    if not found.proofs:
        return None
    keras, int8 = (
        np.concatenate([getattr(proof, side).logits for proof in found.proofs.values()]) for side in ("keras", "int8")
    )
    parity = compare(keras, int8, found.classifier, anchor=decision_logit(run), limit=order.most_flips)
    if not parity.passed:
        raise ExportError(
            f"int8 flips {parity.label_flips} of {parity.films} labels, at most {order.most_flips:.1%} expected; train "
            "with more films or another seed, look at the ranges of the calibration films, or accept more with "
            f"--max-flips, which the card then says. {blame()}"
        )
    return parity


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
