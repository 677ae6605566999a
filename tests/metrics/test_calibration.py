from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from metrics.calibration import (
    brier,
    ece,
    mass_edges,
    reliability,
    reliability_bins,
    width_edges,
)
from metrics.estimates import Estimate

PROBABILITIES = st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=60)


def believable(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return calibrated probabilities and labels: each image is pneumonia with its own probability."""
    random = np.random.default_rng(seed)
    probabilities = expit(random.normal(0, 2, count))
    return probabilities, random.random(count) < probabilities


def names(count: int, images_each: int = 1) -> list[str]:
    return [str(index // images_each) for index in range(count)]


def width(interval: Estimate | None) -> float:
    assert interval is not None
    return interval.high - interval.low


@settings(max_examples=50, deadline=None)
@given(PROBABILITIES, st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_ece_is_naeinis_formula(values: list[float], seed: int, count: int) -> None:
    probabilities = np.array(values)
    labels = np.random.default_rng(seed).random(len(values)) < 0.5
    edges, expected = width_edges(count), 0.0
    for index in range(count):
        last = index == count - 1
        inside = (probabilities >= edges[index]) & ((probabilities < edges[index + 1]) | last)
        if inside.any():
            expected += inside.mean() * abs(labels[inside].mean() - probabilities[inside].mean())
    assert ece(probabilities, labels, edges) == pytest.approx(expected)


@settings(max_examples=50, deadline=None)
@given(PROBABILITIES, st.integers(1, 12))
def test_bins_of_equal_mass_hold_every_image_once_and_equal_probabilities_together(
    values: list[float], count: int
) -> None:
    probabilities = np.array(values)
    bins = reliability_bins(probabilities, np.zeros(len(values), bool), mass_edges(probabilities, count))
    assert len(bins) <= count
    assert sum(each.n for each in bins) == len(values)
    commonest = np.unique(probabilities, return_counts=True)[1].max()
    assert max(each.n for each in bins) <= len(values) / count + commonest


def test_bins_of_equal_mass_are_equal_where_no_probabilities_are() -> None:
    probabilities = np.random.default_rng(0).permutation(np.linspace(0.1, 0.9, 100))
    bins = reliability_bins(probabilities, np.zeros(100, bool), mass_edges(probabilities))
    assert [each.n for each in bins] == [10] * 10


def test_images_that_are_certain_share_no_bin_with_those_that_are_not() -> None:
    """All of those at 0.5 are pneumonia and half of those at 1: in one bin the two errors would cancel."""
    probabilities, labels = np.repeat([0.5, 1.0], [10, 10]), np.repeat([True, False], [15, 5])
    assert ece(probabilities, labels, mass_edges(probabilities)) == pytest.approx(0.5)


def test_bins_are_sklearns() -> None:
    probabilities, labels = believable(400)
    bins = reliability_bins(probabilities, labels, width_edges())
    observed, predicted = calibration_curve(labels, probabilities, n_bins=10)
    assert [each.observed.value for each in bins] == pytest.approx(observed)
    assert [each.probability for each in bins] == pytest.approx(predicted)


def test_brier_is_sklearns_and_its_interval_that_of_a_mean() -> None:
    probabilities, labels = believable(500)
    result = brier(probabilities, labels, names(500))
    assert result.value == pytest.approx(brier_score_loss(labels, probabilities))
    losses = (probabilities - labels) ** 2
    assert width(result) / 3.92 == pytest.approx(losses.std() / np.sqrt(500), rel=0.1)


def test_true_probabilities_err_as_much_as_chance_has_it_and_exaggerated_ones_more() -> None:
    shown, chance, exaggerated = [], [], []
    for seed in range(8):
        probabilities, labels = believable(300, seed)
        result = reliability(probabilities, labels, names(300))
        shown.append(result.ece.value)
        chance.append(result.ece_if_perfect)
        exaggerated.append(ece(expit(2.5 * logit(probabilities)), labels, width_edges()))
    assert np.mean(shown) == pytest.approx(np.mean(chance), rel=0.2)
    assert min(exaggerated) > max(chance)


def test_it_counts_its_images_and_holds_its_figures_within_their_intervals() -> None:
    probabilities, labels = believable(120)
    result = reliability(probabilities, labels, names(120, 2))
    assert (result.n, result.prevalence) == (120, pytest.approx(labels.mean()))
    assert sum(each.n for each in result.bins) == 120
    for interval in (result.ece, result.ece_equal_mass, result.brier):
        assert interval is not None
        assert interval.low <= interval.value <= interval.high


def test_copies_of_a_patients_image_add_no_information() -> None:
    probabilities, labels = believable(80)
    once = brier(probabilities, labels, names(80))
    copies = np.repeat(probabilities, 3), np.repeat(labels, 3)
    assert width(brier(*copies, names(240, 3))) == pytest.approx(width(once))
    assert width(brier(*copies, names(240))) < 0.7 * width(once)


def test_one_image_is_enough() -> None:
    result = reliability(np.array([0.7]), np.array([True]), ["a"])
    assert result.ece.value == pytest.approx(0.3)
    assert result.brier.value == pytest.approx(0.09)
