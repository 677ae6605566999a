"""Build: a trained run and a signing key come in; a signed bundle, proven on the device's own code, goes out."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.bundle import EDGETPU_MODEL, GOLDEN, MODEL, OUTLIERS, load_bundle
from device.classify import Classifier
from export.audit import Audit, audit
from export.bundle import SigningKey, arrays_file, golden_file, signed_parts, write_bundle
from export.card import model_card
from export.edgetpu import compile_for_coral
from export.facts import ExportError, golden_logits, int8_metrics, keras_metrics, network_facts
from export.golden import golden_inputs
from export.held_out import Extra, load_extra, load_held_out
from export.judged import judged
from export.network import Int8, quantized
from export.parity import Parity, compare
from export.spoilt import spoilt_layers
from train.data import Films
from train.report import summarise
from train.run import RunError, SeedRun, load_seed
from train.trained import Answers, answers

__all__ = ["Built", "ExportError", "Extra", "Order", "build"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for. `notes` stand in the model card; films of `also` are judged besides the run's own, by name.

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
    also: tuple[Extra, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What was written. `parity` None: the films were not at hand."""

    out: Path
    seed: int
    digest: str
    audit: Audit
    parity: Parity | None
    on_coral: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One set of held-out films, and what Keras and the box say of them."""

    films: Films
    keras: Answers
    int8: Answers


def build(order: Order) -> Built:
    """Quantize, audit, prove and sign. Raises RunError, ExportError, BundleError; writes nothing unless all passed."""
    summary = summarise(order.run)
    run = load_seed(order.run, order.seed if order.seed is not None else summary["representative_seed"])
    films, digests = _calibration_films(order.run)
    network = quantized(run, films)
    found = _fit_for_boards(network)
    facts = {**_order_facts(order, run), **network_facts(run, network)}
    parts = {**_network_parts(run, network, facts), "audit.json": _json(found.to_dict())}
    parts["calibration_films.json"] = _json({"sha256": digests})
    classifier = _on_trial(order, facts, parts)
    proofs = _proofs(order, run, classifier)
    parity = _parity(proofs, classifier, lambda: spoilt_layers(run, films, proofs["test"].films.images, order.out))
    if parity is not None:
        parts["parity.json"] = _json(parity.to_dict())
    facts |= (
        int8_metrics(run, facts, proofs["test"].films, proofs["test"].int8.logits) if proofs else keras_metrics(run)
    )
    parts["model_card.md"] = model_card(facts, run, summary, found, parity, notes=order.notes).encode()
    write_bundle(order.out, signed_parts(facts, parts, order.key))
    return Built(
        out=order.out, seed=run.seed, digest=hashlib.sha256(network.tflite).hexdigest(), audit=found, parity=parity,
        on_coral=EDGETPU_MODEL in parts,
    )  # fmt: skip


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
    rule = run.trained.outliers
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


def _proofs(order: Order, run: SeedRun, classifier: Classifier) -> dict[str, Proof]:
    """By part, then by file name of the further manifests; empty when the run's films are not at hand."""
    held_out = load_held_out(order.run, order.images)
    if held_out is None:
        return {}
    sets = held_out | {extra.manifest.stem: load_extra(extra) for extra in order.also}
    return {
        name: Proof(films=films, keras=answers(run.trained, films.images), int8=judged(classifier, films.images))
        for name, films in sets.items()
    }


def _parity(proofs: Mapping[str, Proof], classifier: Classifier, blame: Callable[[], str]) -> Parity | None:
    """Raises ExportError, with the words of `blame`."""
    if not proofs:
        return None
    keras, int8 = ([getattr(proof, side).logits for proof in proofs.values()] for side in ("keras", "int8"))
    parity = compare(np.concatenate(keras), np.concatenate(int8), classifier)
    if not parity.passed:
        raise ExportError(
            f"int8 flips {parity.label_flips} of {parity.films} labels, at most 0.5 % expected; train with more films "
            f"or another seed, and look at the ranges of the calibration films. {blame()}"
        )
    return parity


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
