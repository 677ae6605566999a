"""Card content: everything that a model card shows, in one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from device.bundle.manifest import ModelDescription
from export.evaluation.evaluation import Evaluation
from export.int8.audit import Audit
from export.int8.parity import Parity
from train.recipe import Recipe
from train.run.records import PartCounts
from train.run.report import RunSummary
from train.run.run_folder import AVERAGED_IN_MANIFEST


@dataclass(frozen=True, slots=True, kw_only=True)
class CardContent:
    """Everything that a model card shows. `evaluation` and `parity` are None where the run's images are missing.

    `parts` are the images by label, and the patients, of each part of the run.
    """

    model: ModelDescription
    recipe: Recipe
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
