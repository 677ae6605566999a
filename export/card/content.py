"""Card content: a run and what was measured come in; everything that a model card shows goes out, in one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from device.bundle.manifest import ModelDescription
from export.evaluation.evaluation import Evaluation
from export.int8.audit import Audit
from export.int8.parity import Parity
from train.recipe import OperatingPointSection
from train.run.records import PartCounts
from train.run.report import RunSummary
from train.run.run_folder import AVERAGED_IN_MANIFEST
from train.run.trained_run import TrainedRun


@dataclass(frozen=True, slots=True, kw_only=True)
class CardContent:
    """Everything that a model card shows. `evaluation` and `parity` are None where the run's images are missing.

    `description` and `limits` are the recipe's texts; `measured_sources` are those of the main figures, None: all.
    `parts` are the images by label, and the patients, of each part of the run.
    """

    model: ModelDescription
    description: str
    limits: str
    operating_point: OperatingPointSection
    measured_sources: tuple[str, ...] | None
    parts: Mapping[str, PartCounts]
    summary: RunSummary
    audit: Audit
    parity: Parity | None
    evaluation: Evaluation | None
    notes: str = ""

    @property
    def is_weight_average(self) -> bool:
        """Whether the network has the mean of all seeds' weights."""
        return self.model.training.seed == AVERAGED_IN_MANIFEST


def card_content(
    run: TrainedRun,
    *,
    model: ModelDescription,
    audit: Audit,
    parity: Parity | None,
    evaluation: Evaluation | None,
    notes: str = "",
) -> CardContent:
    """Gather what the run recorded and what export measured. Raises RunError."""
    return CardContent(
        model=model,
        description=run.recipe.description,
        limits=run.recipe.release.limits,
        operating_point=run.recipe.operating_point,
        measured_sources=run.recipe.data.measured_sources,
        parts=run.parts,
        summary=run.summary,
        audit=audit,
        parity=parity,
        evaluation=evaluation,
        notes=notes,
    )
