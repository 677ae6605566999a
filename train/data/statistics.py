"""Statistics of a data set: counts, grey levels, and what acquisition style alone predicts.

A shortcut (Geirhos et al. 2020) is what acquisition style alone predicts of the label or of the source. A network
learns it before it learns what a lung looks like, so a data set with shortcuts flatters every network.
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
from train.data.acquisition_style import acquisition_style_features
from train.data.duplicates import clusters, same_value
from train.data.manifest import Row
from train.data.table import Table

Floats = NDArray[np.float64]
NOT_GIVEN = "(not given)"
FOLDS = 5
MIN_PATIENTS = 20
"""With fewer patients in one of two groups, no shortcut is measured between them."""
COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("part", lambda row: row.part or "(none)"),
    ("source", lambda row: row.source or NOT_GIVEN),
    ("tier", lambda row: row.tier or NOT_GIVEN),
    ("view", lambda row: row.view or NOT_GIVEN),
    ("sex", lambda row: row.sex or NOT_GIVEN),
    ("age", lambda row: age_band(row.age)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Two groups of images, `positive` or not, among the images `members`; boolean arrays (n,)."""

    text: str
    among: str
    positive: NDArray[np.bool_]
    members: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortcut:
    """How well acquisition style answers `question` among `images` images.

    `auc`: ROC AUC out of fold by patient, 0.5 at chance, with its 95 % interval.
    """

    question: str
    among: str
    images: int
    auc: Estimate


def age_band(age: float | None) -> str:
    """Return the band of an age in years: ten years each from 20 on, two bands below."""
    if age is None:
        return NOT_GIVEN
    if age < 20:
        return "00-05" if age < 6 else "06-19"
    return "80 and over" if age >= 80 else f"{int(age) // 10 * 10}-{int(age) // 10 * 10 + 9}"


def count_tables(rows: Sequence[Row]) -> tuple[Table, ...]:
    """Return a table of images by class, and of patients, for each column that is not blank throughout."""
    labels = sorted({row.label or NOT_GIVEN for row in rows})
    tables = []
    for name, value_of in COLUMNS:
        values = [value_of(row) for row in rows]
        if set(values) != {NOT_GIVEN}:
            lines = [_line(value, values, rows, labels) for value in sorted(set(values))]
            tables.append(Table(title=name, columns=(name, *labels, "images", "patients"), lines=tuple(lines)))
    return tuple(tables)


def _line(value: str, values: Sequence[str], rows: Sequence[Row], labels: Sequence[str]) -> tuple[str, ...]:
    members = [row for row, its in zip(rows, values, strict=True) if its == value]
    counted = Counter(row.label or NOT_GIVEN for row in members)
    patients = {row.person or row.name for row in members}
    return (value, *(str(counted[label]) for label in labels), str(len(members)), str(len(patients)))


def grey_table(rows: Sequence[Row], images: NDArray[np.uint8]) -> Table:
    """Return grey levels (0 to 255) of each source and class, as mean and standard deviation over its images.

    Each image has its mean, its standard deviation (contrast), its share of nearly black pixels, and its mean
    difference between neighbours (edge strength). `images` is uint8 (n, rows, columns).
    """
    groups = [(row.source or NOT_GIVEN, row.label or NOT_GIVEN) for row in rows]
    figures = np.array([_grey(image) for image in images])
    lines = []
    for group in sorted(set(groups)):
        members = figures[[other == group for other in groups]]
        mean, spread = members.mean(axis=0), members.std(axis=0)
        texts = (f"{m:.1f} ± {s:.1f}" for m, s in zip(mean, spread, strict=True))
        lines.append((*group, str(len(members)), *texts))
    columns = ("source", "label", "images", "mean grey", "contrast (SD)", "nearly black, %", "edge strength")
    return Table(title="grey levels", columns=columns, lines=tuple(lines))


def _grey(image: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    grey = image.astype(np.float32)
    steps = np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()
    return float(grey.mean()), float(grey.std()), float(100 * (image < 12).mean()), float(steps)


def shortcuts(rows: Sequence[Row], images: NDArray[np.uint8]) -> tuple[Shortcut, ...]:
    """Measure what acquisition style predicts: labels, overall and within each source; sources, within each label.

    `images` is uint8 (n, rows, columns). A question with fewer than MIN_PATIENTS patients in a group is left out.
    """
    features, patients = acquisition_style_features(images), patient_numbers(rows)
    measured = (_shortcut(question, features, patients) for question in _questions(rows))
    return tuple(shortcut for shortcut in measured if shortcut is not None)


def _questions(rows: Sequence[Row]) -> list[Question]:
    labels, sources = np.array([row.label for row in rows]), np.array([row.source for row in rows])
    names = [str(source) for source in np.unique(sources) if source]
    pneumonia, normal = labels == "pneumonia", labels == "normal"
    by_label, labelled = "pneumonia or normal", pneumonia | normal
    questions = [Question(text=by_label, among="all images", positive=pneumonia, members=labelled)]
    if len(names) < 2:
        return questions
    questions += [
        Question(text=by_label, among=f"source {name}", positive=pneumonia, members=labelled & (sources == name))
        for name in names
    ]
    for label, members in (("normal", normal), ("pneumonia", pneumonia)):
        present = [name for name in names if (members & (sources == name)).any()]
        one_each = present[:1] if len(present) == 2 else present  # of two sources, one question mirrors the other
        questions += [
            Question(
                text=f"source {name} or another", among=f"{label} images", positive=sources == name, members=members
            )
            for name in one_each
        ]
    return questions


def patient_numbers(rows: Sequence[Row]) -> NDArray[np.int64]:
    """Return the number of each row's patient (n,); patients who share a cluster of duplicates are one."""
    links = [*same_value([row.patient for row in rows]), *same_value([row.cluster for row in rows])]
    return clusters(len(rows), links)


def _shortcut(question: Question, features: Floats, patients: NDArray[np.int64]) -> Shortcut | None:
    positive, patients = question.positive[question.members], patients[question.members]
    if min(len(np.unique(patients[positive])), len(np.unique(patients[~positive]))) < MIN_PATIENTS:
        return None
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, class_weight="balanced"))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    features = features[question.members]
    scores = cross_val_predict(model, features, positive, groups=patients, cv=folds, method="decision_function")
    auc = roc_auc(positive, scores)
    if auc is None:
        return None
    return Shortcut(question=question.text, among=question.among, images=len(positive), auc=auc)


def shortcut_table(measured: Sequence[Shortcut]) -> Table:
    """Return a line for each shortcut, with DeLong's interval."""
    lines = tuple(
        (cut.question, cut.among, str(cut.images), f"{cut.auc.value:.3f} ({cut.auc.low:.3f} to {cut.auc.high:.3f})")
        for cut in measured
    )
    columns = ("acquisition style predicts", "among", "images", "ROC AUC (95 % interval)")
    return Table(title="shortcuts", columns=columns, lines=lines)
