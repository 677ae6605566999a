"""Build: a trained run and a signing key come in; a signed bundle, tested on the device's own code, goes out.

`build` reads from top to bottom as the stages of the work; each calls one sub-package.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from device.bundle.manifest import ModelDescription
from export.bundle.description import Release
from export.bundle.provisional import ProvisionalBundle, provisional_bundle
from export.bundle.writer import SigningKey, json_file, signed_parts, write_bundle
from export.card.content import card_content
from export.card.render import card_parts
from export.evaluation.evaluation import Evaluation, evaluate_on_box
from export.evaluation.evaluation_input import EvaluationInput
from export.evaluation.measured_model import with_int8_metrics, with_training_metrics
from export.int8.audit import Audit
from export.int8.held_out import REMEDY, FurtherDataset
from export.int8.parity import MAX_FLIPPED_SHARE, Parity, checked_parity
from export.int8.predictions import Progress, no_progress, predict_held_out
from export.int8.quantized import ExportError, quantize
from train.run.run_folder import AVERAGED, AVERAGED_IN_MANIFEST, NetworkChoice, RunError
from train.run.trained_run import TrainedRun, load_trained_run

__all__ = ["BuildRequest", "BuildResult", "ExportError", "FurtherDataset", "Release", "build"]


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
    release: Release = field(default_factory=Release)
    seed: int | None = None
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """The model with its metrics; `parity` and `evaluation` are None where the run's images are missing."""

    model: ModelDescription
    parity: Parity | None = None
    evaluation: Evaluation | None = None

    def files(self) -> dict[str, bytes]:
        """Return the bundle's files of what was measured, by name."""
        reports = {"parity.json": self.parity, "evaluation.json": self.evaluation}
        return {name: json_file(report.to_dict()) for name, report in reports.items() if report is not None}


def build(request: BuildRequest, *, on_progress: Progress = no_progress) -> BuildResult:
    """Build a bundle. Raises RunError, ExportError, BundleError; writes nothing unless every check passes."""
    chosen: NetworkChoice | None = AVERAGED if request.seed == AVERAGED_IN_MANIFEST else request.seed
    run = load_trained_run(request.run, chosen)
    network = quantize(run)
    provisional = provisional_bundle(run, network, request.release, request.key)
    measured = measure(request, run, provisional, on_progress=on_progress)
    content = card_content(
        run,
        model=measured.model,
        audit=network.audit,
        parity=measured.parity,
        evaluation=measured.evaluation,
        notes=request.notes,
    )
    parts = {**provisional.parts, **measured.files(), **card_parts(content)}
    write_bundle(request.out, signed_parts(measured.model, parts, request.key))
    return BuildResult(
        out=request.out,
        seed=run.seed,
        digest=hashlib.sha256(network.tflite).hexdigest(),
        audit=network.audit,
        parity=measured.parity,
        compiled_for_coral=network.compiled is not None,
    )


def measure(
    request: BuildRequest, run: TrainedRun, provisional: ProvisionalBundle, *, on_progress: Progress = no_progress
) -> Measurements:
    """Classify the held-out images as a box does; return int8 compared with Keras, metrics and evaluation.

    Raises RunError, ExportError.
    """
    classifier = provisional.classifier
    predictions = predict_held_out(run, classifier, request.images, request.further, on_progress=on_progress)
    if predictions is None:
        if request.baseline is not None:
            raise RunError(f"{run.folder}: its images are missing, so no baseline can be compared; {REMEDY}")
        return Measurements(model=with_training_metrics(provisional.model, run))
    parity = checked_parity(run, classifier, predictions, limit=request.max_flipped_share, out=request.out)
    inputs = EvaluationInput(
        run=run,
        model=with_int8_metrics(provisional.model, run, predictions),
        classifier=classifier,
        predictions=predictions,
        baseline=request.baseline,
    )
    return Measurements(model=inputs.model, parity=parity, evaluation=evaluate_on_box(inputs, on_progress=on_progress))
