"""Story: a bundle's facts, its run and what was measured come in; the one value that a card tells of goes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from export.evaluation.evaluation import Evaluation
from export.int8.audit import Audit
from export.int8.parity import Parity
from train.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that a card tells of. `facts` are the manifest's fields, `summary` the run's; no `evaluation`: no films."""

    facts: Mapping[str, Any]
    recipe: Recipe
    summary: Mapping[str, Any]
    audit: Audit
    parity: Parity | None
    evaluation: Evaluation | None
    notes: str = ""
