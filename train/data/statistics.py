"""Statistics of a data set: counts, grey levels, and what acquisition style alone predicts.

A short cut is what acquisition style alone predicts of the label or of the source. A network finds it before it finds
a lung, so a data set in which style predicts the label flatters every network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metrics.estimates import Estimate
from metrics.roc import roc_auc
from train.data.acquisition_style import style_numbers
from train.data.duplicates import clusters, same_value
from train.data.manifest import Row
from train.data.table import Table

Floats = NDArray[np.float64]
SILENT = "(not said)"
FOLDS = 5
LEAST_GROUPS = 20
"""With fewer patients of a kind, what style tells of it is not asked."""
COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("part", lambda row: row.part or "(none)"),
    ("source", lambda row: row.source or SILENT),
    ("tier", lambda row: row.tier or SILENT),
    ("view", lambda row: row.view or SILENT),
    ("sex", lambda row: row.sex or SILENT),
    ("age", lambda row: age_band(row.age)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortCut:
    """How well style tells `asked`: ROC AUC out of fold by patient, 0.5 being nothing, with its 95 % interval."""

    asked: str
    among: str
    images: int
    auc: Estimate


def age_band(age: float | None) -> str:
    """Ten years each from 20 on, children apart."""
    if age is None:
        return SILENT
    if age < 20:
        return "00-05" if age < 6 else "06-19"
    return "80 and over" if age >= 80 else f"{int(age) // 10 * 10}-{int(age) // 10 * 10 + 9}"


def count_tables(rows: Sequence[Row]) -> tuple[Table, ...]:
    """Images of each class, and patients, by each column that says more than nothing."""
    labels = sorted({row.label or SILENT for row in rows})
    tables = []
    for name, value_of in COLUMNS:
        values = [value_of(row) for row in rows]
        if set(values) != {SILENT}:
            lines = [_line(value, values, rows, labels) for value in sorted(set(values))]
            tables.append(Table(title=name, columns=(name, *labels, "images", "patients"), lines=tuple(lines)))
    return tuple(tables)


def _line(value: str, values: Sequence[str], rows: Sequence[Row], labels: Sequence[str]) -> tuple[str, ...]:
    theirs = [row for row, its in zip(rows, values, strict=True) if its == value]
    counted = Counter(row.label or SILENT for row in theirs)
    people = {row.person or row.name for row in theirs}
    return (value, *(str(counted[label]) for label in labels), str(len(theirs)), str(len(people)))


def grey_table(rows: Sequence[Row], images: NDArray[np.uint8]) -> Table:
    """Grey levels of each source and class: mean of images' means, spread, black, sharpness (uint8 grey levels)."""
    groups = [(row.source or SILENT, row.label or SILENT) for row in rows]
    figures = np.array([_grey(image) for image in images])
    lines = []
    for group in sorted(set(groups)):
        theirs = figures[[other == group for other in groups]]
        mean, spread = theirs.mean(axis=0), theirs.std(axis=0)
        cells = (f"{m:.1f} ± {s:.1f}" for m, s in zip(mean, spread, strict=True))
        lines.append((*group, str(len(theirs)), *cells))
    columns = ("source", "label", "images", "mean grey", "contrast (sd)", "nearly black, %", "edge strength")
    return Table(title="grey levels", columns=columns, lines=tuple(lines))


def _grey(image: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    grey = image.astype(np.float32)
    steps = np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()
    return float(grey.mean()), float(grey.std()), float(100 * (image < 12).mean()), float(steps)


def short_cuts(rows: Sequence[Row], images: NDArray[np.uint8]) -> tuple[ShortCut, ...]:
    """What style tells: the label over all images and within each source, each source among images of one label."""
    numbers, group = style_numbers(images), people(rows)
    labels, sources = np.array([row.label for row in rows]), np.array([row.source for row in rows])
    named = [str(source) for source in np.unique(sources) if source]
    ill = labels == "pneumonia"
    known = ill | (labels == "normal")
    asked = [("pneumonia or normal", "all images", ill, known)]
    if len(named) > 1:
        asked += [("pneumonia or normal", f"source {name}", ill, known & (sources == name)) for name in named]
        for label, theirs in (("normal", known & ~ill), ("pneumonia", ill)):
            there = [name for name in named if (theirs & (sources == name)).any()]
            one_each = there[:1] if len(there) == 2 else there  # of two sources, either question is the other's mirror
            asked += [(f"source {name} or another", f"{label} images", sources == name, theirs) for name in one_each]
    found = (
        _short_cut(question, among, yes[rows_], numbers[rows_], group[rows_]) for question, among, yes, rows_ in asked
    )
    return tuple(cut for cut in found if cut is not None)


def people(rows: Sequence[Row]) -> NDArray[np.int64]:
    """The number of each row's patient (n,); patients whose images are in one cluster of duplicates are one."""
    links = [*same_value([row.patient for row in rows]), *same_value([row.cluster for row in rows])]
    return clusters(len(rows), links)


def _short_cut(
    asked: str, among: str, yes: NDArray[np.bool_], numbers: Floats, group: NDArray[np.int64]
) -> ShortCut | None:
    if min(len(np.unique(group[yes])), len(np.unique(group[~yes]))) < LEAST_GROUPS:
        return None
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, class_weight="balanced"))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    scores = cross_val_predict(model, numbers, yes, groups=group, cv=folds, method="decision_function")
    auc = roc_auc(yes, scores)
    return None if auc is None else ShortCut(asked=asked, among=among, images=len(yes), auc=auc)


def short_cut_table(cuts: Sequence[ShortCut]) -> Table:
    """One line each, with the interval of DeLong."""
    lines = tuple(
        (cut.asked, cut.among, str(cut.images), f"{cut.auc.value:.3f} ({cut.auc.low:.3f} to {cut.auc.high:.3f})")
        for cut in cuts
    )
    columns = ("what style tells", "among", "images", "AUC (95 % interval)")
    return Table(title="short cuts", columns=columns, lines=lines)
