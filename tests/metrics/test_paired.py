from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from metrics.confusion import f1_values
from metrics.estimates import Difference
from metrics.paired import mcnemar, paired_bootstrap
from metrics.roc import roc_auc, roc_auc_difference

Pair = tuple[np.ndarray, np.ndarray, np.ndarray]


def two_scores(random: np.random.Generator, count: int, *, first: float, second: float) -> Pair:
    """Labels and two scores with much in common, whose shifts between the classes are `first` and `second`."""
    labels = np.repeat([0, 1], count)
    common = random.normal(0, 1, 2 * count)
    scores = [np.round(common + random.normal(shift * labels, 0.6), 1) for shift in (first, second)]
    return labels, scores[0], scores[1]


def plain_delong(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Difference and its p-value from every pair of images, by the formula of 1988."""

    def placed(scores: np.ndarray) -> np.ndarray:
        positive, negative = scores[labels == 1][:, None], scores[labels == 0][None, :]
        return (positive > negative) + 0.5 * (positive == negative)

    a, b = placed(first), placed(second)
    by_positive = np.cov(a.mean(axis=1), b.mean(axis=1))
    by_negative = np.cov(a.mean(axis=0), b.mean(axis=0))
    cov = by_positive / a.shape[0] + by_negative / a.shape[1]
    gap = a.mean() - b.mean()
    return float(gap), float(2 * norm.sf(abs(gap) / np.sqrt(cov[0, 0] + cov[1, 1] - 2 * cov[0, 1])))


def delong_of(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> Difference:
    result = roc_auc_difference(labels == 1, first, second)
    assert result is not None
    return result


@pytest.mark.parametrize("seed", range(5))
def test_delong_is_the_plain_formula(seed: int) -> None:
    labels, first, second = two_scores(np.random.default_rng(seed), 40, first=1.2, second=0.9)
    result = delong_of(labels, first, second)
    assert (result.value, result.p) == pytest.approx(plain_delong(labels, first, second))
    for score in (first, second):
        area = roc_auc(labels == 1, score)
        assert area is not None
        assert area.value == pytest.approx(roc_auc_score(labels, score))


def test_delong_keeps_its_level_and_finds_what_is_there() -> None:
    random = np.random.default_rng(0)
    equal = [delong_of(*two_scores(random, 60, first=1.0, second=1.0)).p for _ in range(400)]
    unequal = [delong_of(*two_scores(random, 60, first=1.4, second=0.8)).p for _ in range(100)]
    assert 0.02 < np.mean(np.array(equal) < 0.05) < 0.09
    assert np.mean(np.array(unequal) < 0.05) > 0.8


def test_swapped_scores_swap_the_sign_and_equal_ones_differ_by_nothing() -> None:
    labels, first, second = two_scores(np.random.default_rng(1), 30, first=1.0, second=0.5)
    one, other = delong_of(labels, first, second), delong_of(labels, second, first)
    assert one.value == pytest.approx(-other.value)
    assert one.p == pytest.approx(other.p)
    same = delong_of(labels, first, np.exp(first))
    assert same.p == pytest.approx(1)
    assert (same.low, same.high) == pytest.approx((0, 0), abs=1e-9)


def test_one_image_of_a_class_is_too_few() -> None:
    assert roc_auc_difference(np.array([False, False, True]), np.zeros(3), np.ones(3)) is None


IMAGES = st.lists(st.tuples(st.integers(0, 1), st.booleans(), st.booleans()), min_size=1, max_size=80)


@settings(max_examples=60, deadline=None)
@given(IMAGES)
def test_mcnemar_agrees_with_statsmodels_and_with_every_outcome_weighed(images: list[tuple[int, bool, bool]]) -> None:
    labels, first, second = (np.array(column) for column in zip(*images, strict=True))
    result = mcnemar(first == labels, second == labels)
    only_first = sum(a == label and b != label for label, a, b in images)
    only_second = sum(a != label and b == label for label, a, b in images)
    assert (result.only_first, result.only_second) == (only_first, only_second)
    table = [[0, only_first], [only_second, 0]]
    assert result.p_exact == pytest.approx(statsmodels_mcnemar(table, exact=True).pvalue)
    assert result.p_mid == pytest.approx(plain_mid_p(only_first, only_second))
    assert result.p_mid <= result.p_exact + 1e-12


def plain_mid_p(one: int, other: int) -> float:
    """All outcomes less likely than this one, and half of those as likely (both tails)."""
    count = one + other
    if not count:
        return 1.0
    chances = binom.pmf(np.arange(count + 1), count, 0.5)
    distance = np.abs(np.arange(count + 1) - count / 2)
    here = abs(one - count / 2)
    further, as_far = chances[distance > here + 1e-9].sum(), chances[np.abs(distance - here) < 1e-9].sum()
    return float(further + as_far / 2)


def test_ten_of_twelve_images_agree_with_a_calculation_by_hand() -> None:
    """Of twelve images only one system was right about ten: 2 (1 + 12 + 66) / 4096."""
    first = np.array([True] * 10 + [False] * 2)
    result = mcnemar(first, ~first)
    assert result.p_exact == pytest.approx(2 * 79 / 4096)
    assert result.p_mid == pytest.approx((2 * 79 - 66) / 4096)


def decisions(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels, first, second = two_scores(np.random.default_rng(seed), count, first=1.4, second=1.0)
    return labels, first > 0.6, second > 0.6


def names(count: int, images_each: int = 1) -> list[str]:
    return [str(index // images_each) for index in range(count)]


def span(labels: np.ndarray, first: np.ndarray, second: np.ndarray, patients: list[str]) -> float:
    result = paired_bootstrap(labels == 1, first, second, patients)
    assert result is not None
    return result.high - result.low


def test_the_bootstrap_has_the_plain_spread_of_paired_differences() -> None:
    labels, first, second = decisions(300)
    right = (first == (labels == 1)).astype(float) - (second == (labels == 1))
    gaps = [right[labels == label] for label in (0, 1)]
    result = paired_bootstrap(labels == 1, first, second, names(600))
    assert result is not None
    assert result.p is None
    assert result.value == pytest.approx(sum(gap.mean() for gap in gaps) / 2)
    error = np.sqrt(sum(gap.var() / len(gap) for gap in gaps)) / 2
    assert span(labels, first, second, names(600)) / 3.92 == pytest.approx(error, rel=0.1)


def test_pairing_is_what_makes_it_narrow() -> None:
    """The negative control: the same decisions, the second's images shuffled within their class."""
    labels, first, second = decisions(200)
    random = np.random.default_rng(0)
    shuffled = np.concatenate([random.permutation(second[labels == label]) for label in (0, 1)])
    assert span(labels, first, second, names(400)) < 0.8 * span(labels, first, shuffled, names(400))


def test_copies_of_a_patients_image_add_no_information() -> None:
    labels, first, second = decisions(60)
    once = span(labels, first, second, names(120))
    copies = [np.repeat(column, 4) for column in (labels, first, second)]
    assert span(*copies, names(480, 4)) == pytest.approx(once)
    assert span(*copies, names(480)) < 0.7 * once


def test_any_figure_of_the_four_counts_can_be_compared() -> None:
    labels, first, second = decisions(50)
    result = paired_bootstrap(labels == 1, first, second, names(100), f1_values)
    assert result is not None
    expected = [2 * (decided & (labels == 1)).sum() / (decided.sum() + labels.sum()) for decided in (first, second)]
    assert result.value == pytest.approx(expected[0] - expected[1])
    assert paired_bootstrap(labels[:50] == 1, first[:50], second[:50], names(50)) is None
