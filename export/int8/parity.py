"""Parity: the logits of the int8 network and of Keras for the same images come in; their differences go out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from device.contract import decide
from device.inference.classifier import Classifier
from export.int8.layer_error import table_beside, worst_layers
from export.int8.predictions import PredictionsByName
from export.int8.quantized import ExportError
from train.run.trained_run import TrainedRun

MAX_FLIPPED_SHARE = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """int8 against Keras on the same images.

    `label_flips` counts labels that differ at the logit `operating_logit`, `flag_flips` flags that differ at the
    bundle's thresholds. `limit` is the largest share of labels that may flip.
    """

    images: int
    label_flips: int
    flag_flips: int
    largest_score_difference: float
    largest_logit_difference: float
    interpreter: str
    operating_logit: float = 0.0
    limit: float = MAX_FLIPPED_SHARE

    @property
    def flipped_share(self) -> float:
        """Share of images whose label flips."""
        return self.label_flips / self.images

    @property
    def passed(self) -> bool:
        """Whether no more labels flip than may."""
        return self.flipped_share <= self.limit

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {"passed": self.passed, "flipped_share": self.flipped_share, **asdict(self)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Parity:
        """Read the JSON types of `to_dict`; earlier bundles have other names for two of them."""
        earlier = {"films": "images", "anchor": "operating_logit"}
        values = {earlier.get(name, name): value for name, value in content.items()}
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})


def checked_parity(
    run: TrainedRun, classifier: Classifier, predictions: PredictionsByName, *, limit: float, out: Path
) -> Parity:
    """Compare both networks. Raises ExportError, naming the layers that lose most, when more labels flip than allowed.

    All layers are then written to a table beside the bundle `out`.
    """
    parity = compare(classifier, predictions, operating_logit=run.operating_logit, limit=limit)
    if not parity.passed:
        layers = worst_layers(run, predictions["test"].dataset.images, table_beside(out))
        raise ExportError(
            f"int8 flips {parity.label_flips} of {parity.images} labels, expected at most {parity.limit:.1%}; train "
            "with more images or another seed, check the ranges of the calibration images, or accept more with "
            f"--max-flips, which the model card then states. {layers}"
        )
    return parity


def compare(
    classifier: Classifier,
    predictions: PredictionsByName,
    *,
    operating_logit: float,
    limit: float = MAX_FLIPPED_SHARE,
) -> Parity:
    """Compare both networks on all `predictions`. From `operating_logit` up an image is classified as pneumonia."""
    keras = np.concatenate([one.keras.logits for one in predictions.values()])
    int8 = np.concatenate([one.int8.logits for one in predictions.values()])
    keras_flags, int8_flags = (
        [decide(classifier.probability(float(logit)), classifier.thresholds) for logit in logits]
        for logits in (keras, int8)
    )
    runtime = classifier.runtime
    return Parity(
        images=len(keras),
        label_flips=int(np.sum((keras >= operating_logit) != (int8 >= operating_logit))),
        flag_flips=sum(a is not b for a, b in zip(keras_flags, int8_flags, strict=True)),
        largest_score_difference=float(np.max(np.abs(expit(keras) - expit(int8)))),
        largest_logit_difference=float(np.max(np.abs(keras - int8))),
        interpreter=f"{runtime.interpreter} {runtime.version}",
        operating_logit=operating_logit,
        limit=limit,
    )
