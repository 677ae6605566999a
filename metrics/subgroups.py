"""Subgroups: the figures of every subgroup of images, and how well a score tells their sources apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from metrics.calibration import brier, ece_interval
from metrics.estimates import Bools, Estimate, Floats
from metrics.evaluation import evaluate
from metrics.intervals import proportion
from metrics.roc import roc_auc

MIN_PER_CLASS = 10
"""With fewer images of a class, figures of that class are not stated."""
AGE_EDGES = (0, 5, 12, 20, 40, 60, 80)
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubgroupRow:
    """The images whose `field` is `value`. A figure is None where a class has too few images, as `note` states.

    `refused` is the share of images that the network does not classify; None without an out-of-distribution check.
    """

    field: str
    value: str
    normal: int
    pneumonia: int
    sensitivity: Estimate | None
    specificity: Estimate | None
    balanced_accuracy: Estimate | None
    roc_auc: Estimate | None
    ece: Estimate | None
    brier: Estimate | None
    refused: Estimate | None
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Separation:
    """ROC AUC of the score for source `second` against `first` among images of one label; 0.5 is none."""

    label: int
    first: str
    second: str
    n_first: int
    n_second: int
    auc: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """A network's `logits`, `probabilities` and calls (`called` pneumonia) of n images, all (n,), with their class.

    `refused` (n,) marks images that the network does not classify; their figures still stand in every other column.
    """

    positive: Bools
    patients: Sequence[str]
    logits: Floats
    probabilities: Floats
    called: Bools
    refused: Bools | None = None


def by_subgroup(predictions: Predictions, columns: Mapping[str, Sequence[str]]) -> tuple[SubgroupRow, ...]:
    """Return a row of all images, then one for each value of each column (n,), such as `source`, `view` or `age`.

    Blank values read "unknown". A column with one value has no rows.
    """
    rows = [_row(predictions, "all", "all images", np.ones(len(predictions.positive), bool))]
    for field, column in columns.items():
        values = np.array([value or UNKNOWN for value in column])
        present = sorted(set(values.tolist()), key=lambda value: (value == UNKNOWN, _number(value), value))
        rows += [_row(predictions, field, value, values == value) for value in present if len(present) > 1]
    return tuple(rows)


def age_bands(ages: Floats) -> tuple[str, ...]:
    """Return `ages` (n,) in years as "20 to 39" or "80 and over", and "" for NaN."""
    places = np.searchsorted(AGE_EDGES, ages, side="right") - 1
    names = [f"{low} to {high - 1}" for low, high in pairwise(AGE_EDGES)]
    names.append(f"{AGE_EDGES[-1]} and over")
    return tuple("" if np.isnan(age) else names[place] for age, place in zip(ages, places, strict=True))


def source_separation(logits: Floats, positive: Bools, sources: Sequence[str]) -> tuple[Separation, ...]:
    """Compare each pair of sources with at least MIN_PER_CLASS images of a label.

    Far from 0.5, the score depends on the source.
    """
    rows, named = [], np.array(sources)
    for label in (0, 1):
        of_label = positive == bool(label)
        counts = {source: int(((named == source) & of_label).sum()) for source in sorted(set(sources))}
        enough = [source for source, count in counts.items() if count >= MIN_PER_CLASS]
        for first, second in combinations(enough, 2):
            chosen = of_label & np.isin(named, [first, second])
            auc = roc_auc(named[chosen] == second, logits[chosen])
            rows.append(
                Separation(
                    label=label, first=first, second=second, n_first=counts[first], n_second=counts[second], auc=auc
                )
            )
    return tuple(rows)


def _row(predictions: Predictions, field: str, value: str, chosen: Bools) -> SubgroupRow:
    positive, probabilities = predictions.positive[chosen], predictions.probabilities[chosen]
    patients = np.array(predictions.patients)[chosen].tolist()
    evaluation = evaluate(positive, predictions.logits[chosen], predictions.called[chosen])
    normal, pneumonia = int((~positive).sum()), int(positive.sum())
    both = min(normal, pneumonia) >= MIN_PER_CLASS
    refused = predictions.refused
    return SubgroupRow(
        field=field,
        value=value,
        normal=normal,
        pneumonia=pneumonia,
        sensitivity=evaluation.sensitivity if pneumonia >= MIN_PER_CLASS else None,
        specificity=evaluation.specificity if normal >= MIN_PER_CLASS else None,
        balanced_accuracy=evaluation.balanced_accuracy if both else None,
        roc_auc=evaluation.roc_auc if both else None,
        ece=ece_interval(probabilities, positive, patients) if both else None,
        brier=brier(probabilities, positive, patients) if both else None,
        refused=None if refused is None else proportion(int(refused[chosen].sum()), len(positive)),
        note=_note(normal, pneumonia),
    )


def _note(normal: int, pneumonia: int) -> str:
    counts = {"normal": normal, "pneumonia": pneumonia}
    missing = [f"no {name} images" for name, count in counts.items() if not count]
    few = [f"too few {name} images" for name, count in counts.items() if 0 < count < MIN_PER_CLASS]
    return "; ".join([*missing, *few])


def _number(value: str) -> float:
    first = value.split(" ", maxsplit=1)[0]
    return float(first) if first.isdigit() else 0.0
