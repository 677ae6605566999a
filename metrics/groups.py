"""Groups: scores of films and what is known of each film come in; the figures of every group of films go out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from metrics.calibration import reliability
from metrics.evaluate import balanced_accuracy, patient_tables
from metrics.film_intervals import (
    Floats,
    Interval,
    Labels,
    bootstrap,
    delong,
    wilson,
)

FEWEST = 10
"""With fewer films of a class, what rests on that class is not stated."""
AGE_EDGES = (0, 5, 12, 20, 40, 60, 80)
NOT_SAID = "not said"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRow:
    """One group: the films whose `field` is `value`. A figure is None where a class has too few films, as `note` says.

    `refused` is the share of films that the network does not judge; None where it refuses none by rule.
    """

    field: str
    value: str
    normal: int
    pneumonia: int
    sensitivity: Interval | None
    specificity: Interval | None
    balanced_accuracy: Interval | None
    roc_auc: Interval | None
    ece: Interval | None
    brier: Interval | None
    refused: Interval | None
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Separation:
    """How well the score tells films of `second` from those of `first`, their label being the same; 0.5: not at all."""

    label: int
    first: str
    second: str
    n_first: int
    n_second: int
    auc: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was said of n films: `logits`, `probabilities`, `decided` (called pneumonia), all (n,), and their labels.

    `refused` (n,) marks films that the network does not judge; their figures still stand in every other column.
    """

    labels: Labels
    patients: Sequence[str]
    logits: Floats
    probabilities: Floats
    decided: NDArray[np.bool_]
    refused: NDArray[np.bool_] | None = None


def by_group(judged: Judged, columns: Mapping[str, Sequence[str]]) -> tuple[GroupRow, ...]:
    """All films first, then each value of each column (n,), as `source`, `tier`, `view`, `sex`, `age`.

    Blank values read "not said"; a column that says nothing of any film, or the same of all, has no rows.
    """
    rows = [_row(judged, "all", "all films", np.ones(len(judged.labels), bool))]
    for field, said in columns.items():
        values = np.array([value or NOT_SAID for value in said])
        present = sorted(set(values.tolist()), key=lambda value: (value == NOT_SAID, _number(value), value))
        rows += [_row(judged, field, value, values == value) for value in present if len(present) > 1]
    return tuple(rows)


def age_bands(ages: Floats) -> tuple[str, ...]:
    """`ages` (n,) in years, NaN where not known, as "20 to 39", "80 and over", or ""."""
    places = np.searchsorted(AGE_EDGES, ages, side="right") - 1
    names = [f"{low} to {high - 1}" for low, high in pairwise(AGE_EDGES)]
    names.append(f"{AGE_EDGES[-1]} and over")
    return tuple("" if np.isnan(age) else names[place] for age, place in zip(ages, places, strict=True))


def source_separation(logits: Floats, labels: Labels, sources: Sequence[str]) -> tuple[Separation, ...]:
    """Each pair of sources that have at least FEWEST films of a label. Far from 0.5, the score knows the source."""
    rows, named = [], np.array(sources)
    for label in (0, 1):
        counts = {source: int(((named == source) & (labels == label)).sum()) for source in sorted(set(sources))}
        for first, second in combinations([source for source, count in counts.items() if count >= FEWEST], 2):
            chosen = (labels == label) & np.isin(named, [first, second])
            auc = delong((named[chosen] == second).astype(np.int64), logits[chosen])
            rows.append(
                Separation(
                    label=label, first=first, second=second, n_first=counts[first], n_second=counts[second], auc=auc
                )
            )
    return tuple(rows)


def _row(judged: Judged, field: str, value: str, chosen: NDArray[np.bool_]) -> GroupRow:
    labels, decided = judged.labels[chosen], judged.decided[chosen]
    patients = np.array(judged.patients)[chosen].tolist()
    ill, well = int(labels.sum()), int((1 - labels).sum())
    both = min(ill, well) >= FEWEST
    trust = reliability(judged.probabilities[chosen], labels, patients) if both else None
    refused = None if judged.refused is None else wilson(int(judged.refused[chosen].sum()), len(labels))
    return GroupRow(
        field=field, value=value, normal=well, pneumonia=ill,
        sensitivity=wilson(int((decided & (labels == 1)).sum()), ill) if ill >= FEWEST else None,
        specificity=wilson(int((~decided & (labels == 0)).sum()), well) if well >= FEWEST else None,
        balanced_accuracy=bootstrap(balanced_accuracy, patient_tables(labels, decided, patients)) if both else None,
        roc_auc=delong(labels, judged.logits[chosen]) if both else None,
        ece=trust.ece if trust else None,
        brier=trust.brier if trust else None,
        refused=refused, note=_note(well, ill),
    )  # fmt: skip


def _note(well: int, ill: int) -> str:
    words = {"normal": well, "pneumonia": ill}
    missing = [f"no {name} film" for name, count in words.items() if not count]
    few = [f"too few {name} films" for name, count in words.items() if 0 < count < FEWEST]
    return "; ".join([*missing, *few])


def _number(value: str) -> float:
    first = value.split(" ", maxsplit=1)[0]
    return float(first) if first.isdigit() else 0.0
