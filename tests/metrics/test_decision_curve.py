from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.decision_curve import THRESHOLDS, NetBenefit, decision_curve


def names(count: int, images_each: int = 1) -> list[str]:
    return [str(index // images_each) for index in range(count)]


def value(row: NetBenefit) -> float:
    assert row.model is not None
    return row.model.value


def width(row: NetBenefit) -> float:
    assert row.model is not None
    return row.model.high - row.model.low


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=2, max_size=40).filter(
        lambda images: len({label for _, label in images}) == 2
    ),
    st.floats(0.02, 0.98),
)
def test_it_is_vickers_and_elkins_formula(images: list[tuple[float, int]], threshold: float) -> None:
    probabilities, labels = np.array([f[0] for f in images]), np.array([f[1] for f in images])
    (row,) = decision_curve(probabilities, labels == 1, names(len(images)), thresholds=[threshold])
    acted = probabilities >= threshold
    odds = threshold / (1 - threshold)
    true, false = (acted & (labels == 1)).sum(), (acted & (labels == 0)).sum()
    assert value(row) == pytest.approx(true / len(images) - false / len(images) * odds)
    assert row.act_on_all == pytest.approx(labels.mean() - (1 - labels.mean()) * odds)
    assert row.model.low is not None
    assert row.model.high is not None
    assert row.model.low <= value(row) <= row.model.high


def test_another_prevalence_equals_a_sample_with_that_prevalence() -> None:
    """Three copies of every normal image beside one of every pneumonia give the same net benefit."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 50)
    probabilities = random.beta(2 + 2 * labels, 4 - 2 * labels)
    copies = np.where(labels == 0, 3, 1)
    stated = decision_curve(probabilities, labels == 1, names(100), prevalence=0.25)
    drawn = decision_curve(np.repeat(probabilities, copies), np.repeat(labels, copies) == 1, names(200))
    assert [value(row) for row in stated] == pytest.approx([value(row) for row in drawn])
    assert [row.act_on_all for row in stated] == pytest.approx([row.act_on_all for row in drawn])


def test_perfect_scores_gain_the_prevalence_and_random_ones_gain_nothing() -> None:
    labels = np.tile([0, 0, 0, 1], 100)
    patients = names(400)
    assert [value(row) for row in decision_curve(labels.astype(float), labels == 1, patients)] == pytest.approx(
        [0.25] * 99
    )
    blind = np.random.default_rng(0).permutation(labels).astype(float)
    for row in decision_curve(blind, labels == 1, patients, thresholds=[0.25, 0.4, 0.6]):
        assert row.model.low is not None
        assert row.model.low < max(row.act_on_all, 0)


def test_the_interval_is_that_of_the_two_shares_resampled() -> None:
    """Against the plain variance of two proportions, within what a bootstrap gives."""
    random = np.random.default_rng(1)
    labels = np.repeat([0, 1], [300, 300])
    probabilities = np.clip(random.normal(0.4 + 0.2 * labels, 0.2), 0, 1)
    (row,) = decision_curve(probabilities, labels == 1, names(600), thresholds=[0.5])
    sensitivity, false = (probabilities[labels == 1] >= 0.5).mean(), (probabilities[labels == 0] >= 0.5).mean()
    error = np.sqrt(0.25 * sensitivity * (1 - sensitivity) / 300 + 0.25 * false * (1 - false) / 300)
    assert width(row) / 3.92 == pytest.approx(error, rel=0.1)


def test_copies_of_a_patients_image_add_no_information() -> None:
    random = np.random.default_rng(2)
    labels = np.tile([0, 1], 40)
    probabilities = random.random(80)
    (once,) = decision_curve(probabilities, labels == 1, names(80), thresholds=[0.5])
    (thrice,) = decision_curve(np.repeat(probabilities, 3), np.repeat(labels, 3) == 1, names(240, 3), thresholds=[0.5])
    assert thrice.model.low == pytest.approx(once.model.low)
    assert thrice.model.high == pytest.approx(once.model.high)
    (fooled,) = decision_curve(np.repeat(probabilities, 3), np.repeat(labels, 3) == 1, names(240), thresholds=[0.5])
    assert width(fooled) < 0.7 * width(once)


def test_images_of_one_class_have_no_net_benefit() -> None:
    rows = decision_curve(np.array([0.2, 0.8]), np.array([True, True]), ["a", "b"])
    assert [row.threshold for row in rows] == list(THRESHOLDS)
    assert {row.model for row in rows} == {None}
