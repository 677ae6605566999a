"""Films, a run and a box that are made up, and what an evaluation says of them: for tests of evaluation and card."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from device.inference.classifier import Scores
from export.bundle.manifest_fields import int8_metrics
from export.card.content import Story
from export.evaluation.evaluation import Evaluation, Subject, evaluated
from export.int8.audit import Audit, Operator
from export.int8.box_predictions import judged
from export.int8.predictions import Proof
from tests.support.toy_images import RECIPE
from train.data.dataset import LabelledImages
from train.recipe import Recipe
from train.run.report import summarise
from train.run.run_folder import seed_folder

BRIGHT = 128
SIDE = 4
THRESHOLDS = {"flag_at": 0.6, "clear_below": 0.4, "aim": "what was asked", "chosen_on": "other films"}


class GreyBox:
    """A box that answers by how bright a film's middle is, with a map of where; the very bright is foreign to it."""

    def classify(self, film: np.ndarray) -> Scores:
        parts = film.reshape(SIDE, len(film) // SIDE, SIDE, -1).mean(axis=(1, 3)).astype(np.float32)
        evidence = (parts - BRIGHT) / 64
        logit = float(evidence.sum())
        return Scores(
            logit=logit, score=0.0, probability=0.0, evidence=evidence, infer_ms=0.0, distance=float(parts.mean())
        )


def drawn_films(count: int, *, sources: tuple[str, ...] = ("",), seed: int = 0) -> LabelledImages:
    """Noise, brighter where ill; every second film is ill, each patient has two."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    greys = random.normal(BRIGHT - 6 + 12 * labels, 8)
    images = np.clip(greys[:, None, None] + random.normal(0, 20, (count, 32, 32)), 0, 255).astype(np.uint8)
    return LabelledImages(
        images=images,
        labels=labels,
        files=tuple(f"images/{i}.png" for i in range(count)),
        patients=tuple(f"p{i // 2}" for i in range(count)),
        digests=tuple(f"{seed}-{i}" for i in range(count)),
        sources=tuple(sources[i * len(sources) // count] for i in range(count)),
        tiers=("A",) * count,
        views=tuple("AP" if i % 3 else "PA" for i in range(count)),
        sexes=("",) * count,
        ages=np.full(count, 50.0),
    )


def recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate({**RECIPE, "description": "A recipe of tests.", **changes})


def subject(run: Path, dataset: LabelledImages, **changes: Any) -> Subject:
    """`run` is a real run, for its seeds and histories; the network is the grey box."""
    known = SimpleNamespace(
        recipe=recipe(**changes.pop("recipe", {})),
        operating={"operating_logit": 0.0},
        seed=1,
        folder=seed_folder(run, 1),
    )
    facts = {
        "name": "made-up",
        "calibration": {"method": "none"},
        "thresholds": THRESHOLDS,
        "outliers": {
            "threshold": 134.0,
            "chosen_on": "operating films: 1.0% of the source that lies farthest are beyond it",
        },
    }
    box: Any = GreyBox()
    said = judged(box, dataset.images)
    proofs = {"test": Proof(films=dataset, keras=said, int8=said)}
    return Subject(
        folder=run,
        run=known,
        summary=summarise(run).to_dict(),
        facts=facts,
        classifier=box,
        proofs=proofs | changes.pop("proofs", {}),
        **changes,
    )


def story(found: Subject, evaluation: Evaluation | None = None, **changes: Any) -> Story:
    """A card's story, of its evaluation or of none."""
    proof = found.proofs["test"]
    facts = {
        **found.facts,
        "version": 3,
        "released": False,
        "created": datetime(2026, 1, 2, tzinfo=UTC),
        "quantization": "int8",
        "intended_use": "Research use, in tests.",
        "ages": {"min_years": 20, "max_years": None},
        "training": {"seed": 1, "data_digest": "0" * 64},
        **int8_metrics(found.run, found.facts, proof.films, proof.int8.logits),
        **changes.pop("facts", {}),
    }
    operator = Operator(name="CONV_2D", version=3, inputs=(), outputs=("int8[1, 4]",), objections=())
    return Story(
        facts=facts,
        recipe=found.run.recipe,
        summary=found.summary,
        parity=None,
        evaluation=evaluation,
        audit=Audit(bytes=1234, operators=(operator,), objections=()),
        **changes,
    )


__all__ = ["GreyBox", "drawn_films", "evaluated", "recipe", "story", "subject"]
