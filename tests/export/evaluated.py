"""Images, a run and a box that are made up, and their evaluation: for tests of evaluation and card."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from device.bundle.manifest import ModelDescription
from device.inference.classifier import Scores
from export.card.content import CardContent
from export.card.content import card_content as content_of_run
from export.evaluation.evaluation import Evaluation, evaluate_on_box
from export.evaluation.evaluation_input import EvaluationInput
from export.evaluation.measured_model import int8_metrics
from export.int8.audit import Audit, Operator
from export.int8.predictions import HeldOutPredictions, box_outputs
from tests.support.toy_images import RECIPE
from train.data.dataset import LabelledImages
from train.recipe import Recipe
from train.run.trained_run import load_trained_run

BRIGHT = 128
SIDE = 4
THRESHOLDS = {"flag_at": 0.6, "clear_below": 0.4, "aim": "what was asked", "chosen_on": "other images"}


class GreyBox:
    """A box whose logit is an image's brightness, with a map of it; very bright images are out of distribution."""

    def classify(self, image: np.ndarray) -> Scores:
        parts = image.reshape(SIDE, len(image) // SIDE, SIDE, -1).mean(axis=(1, 3)).astype(np.float32)
        evidence = (parts - BRIGHT) / 64
        logit = float(evidence.sum())
        return Scores(
            logit=logit, score=0.0, probability=0.0, evidence=evidence, infer_ms=0.0, distance=float(parts.mean())
        )


def drawn_images(count: int, *, sources: tuple[str, ...] = ("",), seed: int = 0) -> LabelledImages:
    """Noise, brighter where positive; every second image is positive, each patient has two."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    greys = random.normal(BRIGHT - 6 + 12 * labels, 8)
    images = np.clip(greys[:, None, None] + random.normal(0, 20, (count, 32, 32)), 0, 255).astype(np.uint8)
    table = pd.DataFrame(
        {
            "file": [f"images/{i}.png" for i in range(count)],
            "label": labels,
            "patient": [f"p{i // 2}" for i in range(count)],
            "digest": [f"{seed}-{i}" for i in range(count)],
            "source": [sources[i * len(sources) // count] for i in range(count)],
            "tier": "A",
            "view": ["AP" if i % 3 else "PA" for i in range(count)],
            "sex": "",
            "age": 50.0,
        }
    )
    return LabelledImages(images=images, table=table)


def recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate({**RECIPE, "description": "A recipe of tests.", **changes})


def evaluation_input(run: Path, dataset: LabelledImages, **changes: Any) -> EvaluationInput:
    """`run` is a real run, for its seeds and histories; the network is the grey box."""
    trained = replace(
        load_trained_run(run, 1),
        recipe=recipe(**changes.pop("recipe", {})),
    )
    operating = replace(trained.operating, calibration={"method": "none"}, operating_logit=0.0)
    trained = replace(trained, operating=operating)
    chosen_on = "operating images: 1.0% of the source that lies farthest are beyond it"
    fields: dict[str, Any] = {
        "schema": 1,
        "name": "made-up",
        "version": 3,
        "released": False,
        "created": datetime(2026, 1, 2, tzinfo=UTC),
        "input": {"shape": (1, 32, 32, 1), "dtype": "int8", "scale": 1.0, "zero_point": 0},
        "outputs": {"kind": "evidence", "logit": None, "evidence": 0, "features": (1,)},
        "preprocess_version": 1,
        "quantization": "int8",
        "calibration": {"method": "none"},
        "thresholds": THRESHOLDS,
        "outliers": {"threshold": 134.0, "chosen_on": chosen_on},
        "ages": {"min_years": 20},
        "golden": {"tolerance_logit": 0.1},
        "minimum_runtime": {},
        "metrics": {},
        "intended_use": "Research use, in tests.",
        "training": {"recipe": "toy", "seed": 1, "data_digest": "0" * 64},
        **changes.pop("model", {}),
    }
    box: Any = GreyBox()
    outputs = box_outputs(box, dataset.images)
    predictions = {"test": HeldOutPredictions(dataset=dataset, keras=outputs, int8=outputs)}
    return EvaluationInput(
        run=trained,
        model=ModelDescription.model_validate(fields),
        classifier=box,
        predictions=predictions | changes.pop("predictions", {}),
        **changes,
    )


def card_content(
    inputs: EvaluationInput, evaluation: Evaluation | None = None, model: dict[str, Any] | None = None, **changes: Any
) -> CardContent:
    """A card's content, with its evaluation or without."""
    metrics, measured_on = int8_metrics(inputs.run, inputs.model, inputs.predictions["test"])
    update = {"metrics": metrics, "measured_on": measured_on, **(model or {})}
    operator = Operator(name="CONV_2D", version=3, inputs=(), outputs=("int8[1, 4]",), objections=())
    content = content_of_run(
        inputs.run,
        model=inputs.model.model_copy(update=update),
        audit=Audit(bytes=1234, operators=(operator,), objections=()),
        parity=None,
        evaluation=evaluation,
    )
    return replace(content, **changes)


__all__ = ["GreyBox", "card_content", "drawn_images", "evaluate_on_box", "evaluation_input", "recipe"]
