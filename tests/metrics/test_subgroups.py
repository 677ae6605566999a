from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, recall_score, roc_auc_score

from metrics.subgroups import (
    MIN_PER_CLASS,
    Predictions,
    Separation,
    SubgroupRow,
    age_bands,
    by_subgroup,
    source_separation,
)


def predictions(count: int = 400, *, refused: bool = False) -> Predictions:
    random = np.random.default_rng(0)
    labels = np.tile([0, 1], count // 2)
    logits = random.normal(2 * labels - 1, 1.0)
    return Predictions(
        positive=labels == 1,
        patients=[str(index) for index in range(count)],
        logits=logits,
        probabilities=expit(logits),
        called=logits > 0.2,
        refused=random.random(count) < 0.1 if refused else None,
    )


def named(rows: tuple[SubgroupRow, ...]) -> list[tuple[str, str]]:
    return [(row.field, row.value) for row in rows]


def test_a_subgroups_figures_are_those_of_its_images_alone() -> None:
    images = predictions(refused=True)
    sexes = np.where(np.arange(400) < 250, "F", "M")
    row = by_subgroup(images, {"sex": sexes.tolist()})[1]
    chosen = sexes == "F"
    truth, called = images.positive[chosen], images.called[chosen]
    assert (row.field, row.value, row.normal, row.pneumonia) == ("sex", "F", 125, 125)
    assert row.sensitivity is not None
    assert row.sensitivity.value == pytest.approx(recall_score(truth, called))
    assert row.specificity is not None
    assert row.specificity.value == pytest.approx(recall_score(truth, called, pos_label=0))
    assert row.balanced_accuracy is not None
    assert row.balanced_accuracy.value == pytest.approx(balanced_accuracy_score(truth, called))
    assert row.roc_auc is not None
    assert row.roc_auc.value == pytest.approx(roc_auc_score(truth, images.logits[chosen]))
    assert row.brier is not None
    assert row.brier.value == pytest.approx(brier_score_loss(truth, images.probabilities[chosen]))
    assert row.refused is not None
    assert images.refused is not None
    assert row.refused.value == pytest.approx(images.refused[chosen].mean())


def test_every_image_is_in_one_subgroup_of_each_column_and_ages_are_in_order() -> None:
    images = predictions(420)
    ages = np.tile([3.0, 15.0, 33.0, 47.0, 85.0, np.nan], 70)
    rows = by_subgroup(images, {"age": age_bands(ages), "view": ["PA", "AP"] * 210, "tier": ["gold"] * 420})
    assert named(rows) == [
        ("all", "all images"),
        ("age", "0 to 4"),
        ("age", "12 to 19"),
        ("age", "20 to 39"),
        ("age", "40 to 59"),
        ("age", "80 and over"),
        ("age", "unknown"),
        ("view", "AP"),
        ("view", "PA"),
    ]
    for field in ("age", "view"):
        assert sum(row.normal + row.pneumonia for row in rows if row.field == field) == 420


def test_a_column_of_blanks_has_no_rows() -> None:
    assert named(by_subgroup(predictions(40), {"sex": [""] * 40})) == [("all", "all images")]


def test_too_few_images_of_a_class_leave_out_its_figures_and_are_noted() -> None:
    images = predictions(40)
    places = np.arange(40)
    groups = np.where(~images.positive, "normals", "rest")  # every second image, then a few pneumonias
    groups[(images.positive) & (places < 2 * MIN_PER_CLASS - 2)] = "few"
    rows = {row.value: row for row in by_subgroup(images, {"source": groups.tolist()})}
    only = rows["normals"]
    assert only.specificity is not None
    assert (only.sensitivity, only.roc_auc, only.balanced_accuracy, only.ece, only.brier) == (None,) * 5
    assert only.note == "no pneumonia images"
    assert (rows["few"].sensitivity, rows["few"].note) == (None, "no normal images; too few pneumonia images")
    assert rows["all images"].note == ""


def test_without_an_out_of_distribution_check_no_refused_share_is_stated() -> None:
    images = predictions(40)
    assert by_subgroup(images, {})[0].refused is None
    none = by_subgroup(replace(images, refused=np.zeros(40, bool)), {})[0].refused
    assert none is not None
    assert none.value == 0


@given(st.floats(0, 120))
def test_an_age_is_in_its_band(age: float) -> None:
    (band,) = age_bands(np.array([age]))
    parts = band.split(" ")
    low = int(parts[0])
    high = 1000 if parts[1] == "and" else int(parts[2])
    assert low <= age < high + 1


def scored(seed: int, shift: float) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Scores that depend on the label, and on the source by `shift`; a third source has too few images."""
    sources = np.array(["here", "there"] * 100 + ["rare"] * (MIN_PER_CLASS - 1))
    labels = np.concatenate([np.tile([0, 0, 1, 1], 50), np.zeros(MIN_PER_CLASS - 1, np.int64)])
    return np.random.default_rng(seed).normal(labels + shift * (sources == "there"), 1.0), labels, sources.tolist()


def test_a_score_that_depends_on_the_source_is_detected() -> None:
    logits, labels, sources = scored(0, 1.0)
    rows = source_separation(logits, labels == 1, sources)
    assert [(row.label, row.first, row.second, row.n_first, row.n_second) for row in rows] == [
        (0, "here", "there", 50, 50),
        (1, "here", "there", 50, 50),
    ]
    for row in rows:
        chosen = (labels == row.label) & (np.array(sources) != "rare")
        expected = roc_auc_score(np.array(sources)[chosen] == "there", logits[chosen])
        assert row.auc is not None
        assert row.auc.value == pytest.approx(expected)
        assert row.auc.low > 0.6


def separated(seed: int) -> tuple[Separation, ...]:
    logits, labels, sources = scored(seed, 0.0)
    return source_separation(logits, labels == 1, sources)


def test_a_score_that_depends_on_the_label_alone_is_suspected_as_often_as_chance_allows() -> None:
    rows = [row.auc for seed in range(100) for row in separated(seed)]
    suspected = [auc is None or not auc.low < 0.5 < auc.high for auc in rows]
    assert 0.01 < np.mean(suspected) < 0.10
