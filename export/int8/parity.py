"""Parity: the device's own classifier and the Keras logits of the same films come in; their differences go out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from device.contract import decide
from device.inference.classifier import Classifier

MAX_FLIPPED_SHARE = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """int8 against Keras on the same films. `label_flips` at logit `anchor`, `flag_flips` at the bundle's thresholds.

    `limit` is the share of labels that may flip.
    """

    films: int
    label_flips: int
    flag_flips: int
    largest_score_difference: float
    largest_logit_difference: float
    interpreter: str
    anchor: float = 0.0
    limit: float = MAX_FLIPPED_SHARE

    @property
    def flipped_share(self) -> float:
        """Share of films whose label flips."""
        return self.label_flips / self.films

    @property
    def passed(self) -> bool:
        """Whether no more films change their label than may."""
        return self.flipped_share <= self.limit

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return {"passed": self.passed, "flipped_share": self.flipped_share, **asdict(self)}


def device_logits(classifier: Classifier, films: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Logits (n,) of films uint8 (n, rows, columns), as a box would have them."""
    return np.array([classifier.classify(film).logit for film in films], np.float64)


def compare(
    keras_logits: NDArray[np.float64],
    int8_logits: NDArray[np.float64],
    classifier: Classifier,
    *,
    anchor: float,
    limit: float = MAX_FLIPPED_SHARE,
) -> Parity:
    """Of the same n films: both (n,). From logit `anchor` up a film is called pneumonia."""
    flags = [
        [decide(classifier.probability(float(logit)), classifier.thresholds) for logit in logits]
        for logits in (keras_logits, int8_logits)
    ]
    runtime = classifier.runtime
    return Parity(
        films=len(keras_logits),
        label_flips=int(np.sum((keras_logits >= anchor) != (int8_logits >= anchor))),
        flag_flips=sum(a is not b for a, b in zip(*flags, strict=True)),
        largest_score_difference=float(np.max(np.abs(expit(keras_logits) - expit(int8_logits)))),
        largest_logit_difference=float(np.max(np.abs(keras_logits - int8_logits))),
        interpreter=f"{runtime.interpreter} {runtime.version}",
        anchor=anchor,
        limit=limit,
    )
