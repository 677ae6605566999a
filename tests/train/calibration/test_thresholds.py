from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.intervals import wilson_bounds
from train.calibration.thresholds import choose
from train.recipe import OperatingPointSection

AIM = OperatingPointSection(clear_sensitivity=0.95, flag_specificity=0.9)


def draw_probabilities(count: int, apart: float) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = np.arange(count) % 2
    return np.clip(random.normal(0.5 + apart * (labels - 0.5), 0.15), 0, 1), labels


def test_the_thresholds_reach_their_aims_on_the_images_that_chose_them() -> None:
    probabilities, labels = draw_probabilities(2000, 0.4)
    chosen = choose(probabilities, labels, AIM)
    missed = int(np.sum(probabilities[labels == 1] < chosen.clear_below))
    assert wilson_bounds(1000 - missed, 1000)[0] >= 0.95
    assert wilson_bounds(1000 - missed - 1, 1000)[0] < 0.95  # no higher threshold would do
    assert np.mean(probabilities[labels == 0] < chosen.flag_at) >= 0.9
    assert "met" in chosen.aim


def test_too_few_images_clear_no_positive_and_say_so() -> None:
    probabilities, labels = draw_probabilities(20, 0.4)
    chosen = choose(probabilities, labels, AIM)
    assert not np.any(probabilities[labels == 1] < chosen.clear_below)
    assert "too few" in chosen.aim


@settings(deadline=None)
@given(st.integers(2, 300), st.floats(-1, 1), st.floats(0.5, 0.999), st.floats(0.01, 0.999))
def test_thresholds_are_always_in_order(count: int, apart: float, sensitivity: float, specificity: float) -> None:
    probabilities, labels = draw_probabilities(count, apart)
    aim = OperatingPointSection(clear_sensitivity=sensitivity, flag_specificity=specificity)
    chosen = choose(probabilities, labels, aim)
    assert 0 <= chosen.clear_below <= chosen.flag_at <= 1


@pytest.mark.parametrize("specificity", [0.5, 0.9, 0.99])
def test_a_higher_specificity_never_flags_more(specificity: float) -> None:
    probabilities, labels = draw_probabilities(400, 0.3)
    lower = choose(probabilities, labels, OperatingPointSection(flag_specificity=specificity))
    higher = choose(probabilities, labels, OperatingPointSection(flag_specificity=min(specificity + 0.005, 0.999)))
    assert higher.flag_at >= lower.flag_at
