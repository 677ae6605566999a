from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, recall_score, roc_auc_score

from metrics.groups import (
    FEWEST,
    GroupRow,
    Judged,
    age_bands,
    by_group,
    source_separation,
)


def judged(count: int = 400, *, refused: bool = False) -> Judged:
    random = np.random.default_rng(0)
    labels = np.tile([0, 1], count // 2)
    logits = random.normal(2 * labels - 1, 1.0)
    return Judged(
        labels=labels, patients=[str(index) for index in range(count)], logits=logits, probabilities=expit(logits),
        decided=logits > 0.2, refused=random.random(count) < 0.1 if refused else None,
    )  # fmt: skip


def named(rows: tuple[GroupRow, ...]) -> list[tuple[str, str]]:
    return [(row.field, row.value) for row in rows]


def test_a_groups_figures_are_those_of_its_films_alone() -> None:
    films = judged(refused=True)
    sexes = np.where(np.arange(400) < 250, "F", "M")
    row = by_group(films, {"sex": sexes.tolist()})[1]
    chosen = sexes == "F"
    truth, said = films.labels[chosen], films.decided[chosen]
    assert (row.field, row.value, row.normal, row.pneumonia) == ("sex", "F", 125, 125)
    assert row.sensitivity is not None
    assert row.sensitivity.value == pytest.approx(recall_score(truth, said))
    assert row.specificity is not None
    assert row.specificity.value == pytest.approx(recall_score(truth, said, pos_label=0))
    assert row.balanced_accuracy is not None
    assert row.balanced_accuracy.value == pytest.approx(balanced_accuracy_score(truth, said))
    assert row.roc_auc is not None
    assert row.roc_auc.value == pytest.approx(roc_auc_score(truth, films.logits[chosen]))
    assert row.brier is not None
    assert row.brier.value == pytest.approx(brier_score_loss(truth, films.probabilities[chosen]))
    assert row.refused is not None
    assert films.refused is not None
    assert row.refused.value == pytest.approx(films.refused[chosen].mean())


def test_every_film_is_in_one_group_of_each_column_and_ages_stand_in_order() -> None:
    films = judged(420)
    ages = np.tile([3.0, 15.0, 33.0, 47.0, 85.0, np.nan], 70)
    rows = by_group(films, {"age": age_bands(ages), "view": ["PA", "AP"] * 210, "tier": ["gold"] * 420})
    assert named(rows) == [
        ("all", "all films"), ("age", "0 to 4"), ("age", "12 to 19"), ("age", "20 to 39"), ("age", "40 to 59"),
        ("age", "80 and over"), ("age", "not said"), ("view", "AP"), ("view", "PA"),
    ]  # fmt: skip
    for field in ("age", "view"):
        assert sum(row.normal + row.pneumonia for row in rows if row.field == field) == 420


def test_a_column_that_says_nothing_has_no_rows() -> None:
    assert named(by_group(judged(40), {"sex": [""] * 40})) == [("all", "all films")]


def test_few_films_of_a_class_leave_out_what_rests_on_them_and_say_so() -> None:
    films = judged(40)
    places = np.arange(40)
    kinds = np.where(films.labels == 0, "normals", "rest")  # every second film, then a few pneumonias
    kinds[(films.labels == 1) & (places < 2 * FEWEST - 2)] = "few"
    rows = {row.value: row for row in by_group(films, {"source": kinds.tolist()})}
    only = rows["normals"]
    assert only.specificity is not None
    assert (only.sensitivity, only.roc_auc, only.balanced_accuracy, only.ece, only.brier) == (None,) * 5
    assert only.note == "no pneumonia film"
    assert (rows["few"].sensitivity, rows["few"].note) == (None, "no normal film; too few pneumonia films")
    assert rows["all films"].note == ""


def test_where_nothing_is_refused_by_rule_no_share_is_stated() -> None:
    films = judged(40)
    assert by_group(films, {})[0].refused is None
    none = by_group(replace(films, refused=np.zeros(40, bool)), {})[0].refused
    assert none is not None
    assert none.value == 0


@given(st.floats(0, 120))
def test_an_age_stands_in_its_band(age: float) -> None:
    (band,) = age_bands(np.array([age]))
    words = band.split(" ")
    low = int(words[0])
    high = 1000 if words[1] == "and" else int(words[2])
    assert low <= age < high + 1


def scored(seed: int, shift: float) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Scores that know the label, and the source by `shift`; a third source has too few films to be compared."""
    sources = np.array(["here", "there"] * 100 + ["rare"] * (FEWEST - 1))
    labels = np.concatenate([np.tile([0, 0, 1, 1], 50), np.zeros(FEWEST - 1, np.int64)])
    return np.random.default_rng(seed).normal(labels + shift * (sources == "there"), 1.0), labels, sources.tolist()


def test_a_score_that_knows_the_source_is_found_out() -> None:
    logits, labels, sources = scored(0, 1.0)
    rows = source_separation(logits, labels, sources)
    assert [(row.label, row.first, row.second, row.n_first, row.n_second) for row in rows] == [
        (0, "here", "there", 50, 50), (1, "here", "there", 50, 50),
    ]  # fmt: skip
    for row in rows:
        chosen = (labels == row.label) & (np.array(sources) != "rare")
        expected = roc_auc_score(np.array(sources)[chosen] == "there", logits[chosen])
        assert row.auc.value == pytest.approx(expected)
        assert row.auc.low is not None
        assert row.auc.low > 0.6


def test_a_score_that_knows_only_the_label_is_accused_as_often_as_chance_has_it() -> None:
    rows = [row.auc for seed in range(100) for row in source_separation(*scored(seed, 0.0))]
    accused = [not (auc.low or 0) < 0.5 < (auc.high or 0) for auc in rows]
    assert 0.01 < np.mean(accused) < 0.10
