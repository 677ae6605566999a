"""Table: a reference and systems' calls come in; the figures of each system and each pair go out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.agreement import kappa
from metrics.calibration import brier
from metrics.confusion import ConfusionMatrix, figures
from metrics.estimates import Difference, Estimate
from metrics.intervals import RESAMPLES, SEED
from metrics.paired import holm, proportion_difference
from metrics.roc import roc_auc, roc_auc_difference

METRICS = (
    "accuracy",
    "precision",
    "sensitivity",
    "specificity",
    "npv",
    "f1",
    "balanced_accuracy",
    "mcc",
    "roc_auc",
    "brier",
)
TESTED = ("sensitivity", "specificity", "accuracy", "roc_auc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A system's call of one case. `score` rises with suspicion; it need not be a probability."""

    positive: bool
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One system's calls by case. `excluded` lists the cases without a call, by reason."""

    name: str
    calls: Mapping[str, Call]
    excluded: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One system over its cases, in the cases' order: truth and call (n,), score (n,) or None, and the figures."""

    name: str
    cases: tuple[str, ...]
    truth: NDArray[np.bool_]
    called: NDArray[np.bool_]
    score: NDArray[np.float64] | None
    matrix: ConfusionMatrix
    metrics: Mapping[str, Estimate | None]
    excluded: Mapping[str, tuple[str, ...]]

    def to_dict(self) -> dict[str, Any]:
        """Return `n`, the four counts and the metrics as JSON types."""
        m = self.matrix
        metrics = {name: None if value is None else value.to_dict() for name, value in self.metrics.items()}
        return {"n": m.n, "tn": m.tn, "fp": m.fp, "fn": m.fn, "tp": m.tp, **metrics}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two systems on the cases that both called. Differences are `a` minus `b`."""

    a: str
    b: str
    cases: int
    differences: Mapping[str, Difference | None]
    kappa: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the pair as JSON types."""
        differences = {name: None if value is None else value.to_dict() for name, value in self.differences.items()}
        return {"a": self.a, "b": self.b, **differences, "kappa": self.kappa}


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjusted:
    """A pair's p value after Holm's correction over all pairs, for one figure."""

    a: str
    b: str
    metric: str
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All systems and all pairs of them."""

    systems: tuple[Outcome, ...]
    pairs: tuple[Pair, ...]

    def adjusted(self) -> tuple[Adjusted, ...]:
        """Return the p values of all pairs after Holm's correction within each figure."""
        adjusted: list[Adjusted] = []
        for metric in TESTED:
            tested = [
                (pair, difference.p)
                for pair in self.pairs
                if (difference := pair.differences[metric]) is not None and difference.p is not None
            ]
            p_values = holm([p for _, p in tested])
            adjusted += [
                Adjusted(a=pair.a, b=pair.b, metric=metric, p=p) for (pair, _), p in zip(tested, p_values, strict=True)
            ]
        return tuple(adjusted)

    def to_dict(self) -> dict[str, Any]:
        """Return systems, pairs and adjusted p values as JSON types. Undefined figures are null, never NaN."""
        return {
            "systems": {outcome.name: outcome.to_dict() for outcome in self.systems},
            "pairs": [pair.to_dict() for pair in self.pairs],
            "multiplicity": {
                "method": "holm",
                "family": "all pairs of systems, for each figure",
                "adjusted": [{"a": x.a, "b": x.b, "metric": x.metric, "p": x.p} for x in self.adjusted()],
            },
        }


def compare(
    reference: Mapping[str, bool], systems: Sequence[System], *, resamples: int = RESAMPLES, seed: int = SEED
) -> Comparison:
    """Return the figures of every system on its cases with a reference, and of every pair on the cases both called.

    `reference` maps a case to whether it has pneumonia. Scores need only rank within a system. ROC AUC and Brier score
    are None when any counted case of the system has no score; the Brier score also unless all scores lie in 0-1.
    """
    outcomes = tuple(_outcome(reference, system, resamples, seed) for system in systems)
    return Comparison(systems=outcomes, pairs=tuple(_pair(a, b) for a, b in combinations(outcomes, 2)))


def _outcome(reference: Mapping[str, bool], system: System, resamples: int, seed: int) -> Outcome:
    cases = tuple(case for case in reference if case in system.calls)
    truth = np.array([reference[case] for case in cases], dtype=bool)
    called = np.array([system.calls[case].positive for case in cases], dtype=bool)
    scores = [system.calls[case].score for case in cases]
    score = np.array(scores, dtype=float) if cases and None not in scores else None
    matrix = ConfusionMatrix.from_calls(truth, called)
    return Outcome(
        name=system.name,
        cases=cases,
        truth=truth,
        called=called,
        score=score,
        matrix=matrix,
        metrics={**figures(matrix), **_scored(truth, score, resamples, seed)},
        excluded=system.excluded,
    )


def _scored(
    truth: NDArray[np.bool_], score: NDArray[np.float64] | None, resamples: int, seed: int
) -> dict[str, Estimate | None]:
    if score is None:
        return {"roc_auc": None, "brier": None}
    return {
        "roc_auc": roc_auc(truth, score),
        "brier": brier(score, truth, resamples=resamples, seed=seed),
    }


def _pair(a: Outcome, b: Outcome) -> Pair:
    place = {case: i for i, case in enumerate(b.cases)}
    in_a = np.array([i for i, case in enumerate(a.cases) if case in place], dtype=int)
    in_b = np.array([place[a.cases[i]] for i in in_a], dtype=int)
    truth, call_a, call_b = a.truth[in_a], a.called[in_a], b.called[in_b]
    scored = a.score is not None and b.score is not None and len(in_a)
    differences = {
        "sensitivity": proportion_difference(call_a[truth], call_b[truth]),
        "specificity": proportion_difference(~call_a[~truth], ~call_b[~truth]),
        "accuracy": proportion_difference(call_a == truth, call_b == truth),
        "roc_auc": roc_auc_difference(truth, a.score[in_a], b.score[in_b])  # type: ignore[index]
        if scored
        else None,
    }
    return Pair(a=a.name, b=b.name, cases=len(in_a), differences=differences, kappa=kappa(call_a, call_b))
