"""Build: a trained run and a signing key come in; a signed bundle, tested on the device's own code, goes out.

`build` reads from top to bottom as the stages of the work; each calls one sub-package.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from export.bundle.description import Release
from export.bundle.provisional import json_file, provisional_bundle
from export.bundle.writer import SigningKey, signed_parts, write_bundle
from export.card.content import CardContent
from export.card.render import card_parts
from export.evaluation.evaluation import EvaluationInput, evaluate_on_box
from export.evaluation.measured_model import measured
from export.int8.audit import Audit
from export.int8.held_out import REMEDY, FurtherDataset
from export.int8.parity import MAX_FLIPPED_SHARE, Parity, checked_parity
from export.int8.predictions import Progress, no_progress, predict_held_out
from export.int8.quantized import ExportError, quantize
from train.run.run_folder import AVERAGED, AVERAGED_IN_MANIFEST, NetworkChoice, RunError
from train.run.trained_run import TrainedRun, load_trained_run

__all__ = ["BuildRequest", "BuildResult", "ExportError", "FurtherDataset", "build"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What to build. `notes` go into the model card; the images of `further` are classified besides the run's own.

    `seed` None takes the mean of all seeds' weights where the run has one, else the representative seed. `images` None
    takes the run's own folder. `baseline` is another run that the model card compares with. `max_flipped_share`: see
    `export.int8.parity`.
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
    further: tuple[FurtherDataset, ...] = ()
    baseline: Path | None = None
    max_flipped_share: float = MAX_FLIPPED_SHARE


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """What was written. `parity` is None where the run's images are missing."""

    out: Path
    seed: NetworkChoice
    digest: str
    audit: Audit
    parity: Parity | None
    compiled_for_coral: bool


def build(request: BuildRequest, *, on_progress: Progress = no_progress) -> BuildResult:
    """Build a bundle. Raises RunError, ExportError, BundleError; writes nothing unless every check passes."""
    chosen: NetworkChoice | None = AVERAGED if request.seed == AVERAGED_IN_MANIFEST else request.seed
    run = load_trained_run(request.run, chosen)
    network = quantize(run)
    provisional = provisional_bundle(run, network, _release(request, run), request.key)
    parts = dict(provisional.parts)

    predictions = predict_held_out(
        run, provisional.classifier, request.images, request.further, on_progress=on_progress
    )
    parity = None
    if predictions is not None:
        parity = checked_parity(
            run, provisional.classifier, predictions, limit=request.max_flipped_share, out=request.out
        )
        parts["parity.json"] = json_file(parity.to_dict())
    elif request.baseline is not None:
        raise RunError(f"{run.folder}: its images are missing, so no baseline can be compared; {REMEDY}")

    model = measured(provisional.model, run, predictions)
    evaluation = None
    if predictions is not None:
        inputs = EvaluationInput(
            run=run,
            model=model,
            classifier=provisional.classifier,
            predictions=predictions,
            baseline=request.baseline,
        )
        evaluation = evaluate_on_box(inputs, on_progress=on_progress)
        parts["evaluation.json"] = json_file(evaluation.to_dict())

    content = CardContent(
        model=model,
        recipe=run.recipe,
        parts=run.parts,
        summary=run.summary,
        audit=network.audit,
        parity=parity,
        evaluation=evaluation,
        notes=request.notes,
    )
    parts |= card_parts(content)
    write_bundle(request.out, signed_parts(model, parts, request.key))
    return BuildResult(
        out=request.out,
        seed=run.seed,
        digest=hashlib.sha256(network.tflite).hexdigest(),
        audit=network.audit,
        parity=parity,
        compiled_for_coral=network.compiled is not None,
    )


def _release(request: BuildRequest, run: TrainedRun) -> Release:
    return Release(
        name=request.name or run.recipe.name,
        version=request.version,
        released=request.released,
        expires=request.expires,
    )
