"""Published: the study's three confusion matrices come in; their figures with intervals go out.

They are of the study's own 531 images, which are not public: they show the scale and are no comparison.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metrics.evaluation import Evaluation, evaluate
from train.run.report import STUDY_COUNTS

WHERE = "the study's own images, 231 normal and 300 pneumonia, not these"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One system as the study prints it; the ROC AUC is not defined, for no scores are published."""

    name: str
    figures: Evaluation


def published() -> tuple[Published, ...]:
    """Return the study's own network and both vendors' products."""
    return (
        Published(name="the study's network", figures=_figures(**STUDY_COUNTS)),
        Published(name="VUNO Med-Chest X-ray", figures=_figures(164, 67, 19, 281)),
        Published(name="Lunit INSIGHT CXR", figures=_figures(121, 110, 11, 289)),
    )


def _figures(tn: int, fp: int, fn: int, tp: int) -> Evaluation:
    positive = np.repeat([False, False, True, True], [tn, fp, fn, tp])
    decided = np.repeat([False, True, False, True], [tn, fp, fn, tp])
    return evaluate(positive, decided.astype(np.float64), decided)
