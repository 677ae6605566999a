from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, roc_auc_score

from metrics.evaluate import evaluate
from metrics.film_intervals import delong, wilson

STUDY = {
    "cnn": ((138, 93, 3, 297), (0.8192, 0.7615, 0.9900, 0.8609, 0.79370)),
    "vuno": ((164, 67, 19, 281), (0.8380, 0.8075, 0.9367, 0.8673, 0.82331)),
    "lunit": ((121, 110, 11, 289), (0.7721, 0.7243, 0.9633, 0.8269, 0.74357)),
}


@pytest.mark.parametrize("system", STUDY)
def test_the_studys_tables_come_out_to_every_digit(system: str) -> None:
    (tn, fp, fn, tp), expected = STUDY[system]
    labels = np.repeat([0, 0, 1, 1], [tn, fp, fn, tp])
    decided = np.repeat([False, True, False, True], [tn, fp, fn, tp])
    found = evaluate(labels, decided.astype(float), decided, [str(i) for i in range(len(labels))])
    assert (found.tn, found.fp, found.fn, found.tp) == (tn, fp, fn, tp)
    values = [found.accuracy, found.precision, found.sensitivity, found.f1, found.balanced_accuracy]
    assert [value.value for value in values] == pytest.approx(expected, abs=5.1e-5)
    assert found.roc_auc.value == pytest.approx(expected[-1], abs=5e-6)  # the area of the one-point ROC


def test_wilson_gives_the_studys_interval() -> None:
    found = wilson(138, 231)
    assert (found.low, found.high) == pytest.approx((0.533, 0.659), abs=5e-4)
    assert wilson(0, 0).value is None


def test_delong_agrees_with_sklearn_and_with_resampling() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], [150, 100])
    scores = np.round(random.normal(labels * 1.2, 1.0), 1)  # rounded: ties
    found = delong(labels, scores)
    assert found.value == pytest.approx(roc_auc_score(labels, scores))
    draws = [random.integers(0, 250, 250) for _ in range(200)]
    areas = [roc_auc_score(labels[d], scores[d]) for d in draws]
    assert found.low is not None
    assert found.high is not None
    assert (found.high - found.low) / 3.92 == pytest.approx(np.std(areas), rel=0.2)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.floats(-5, 5, width=16), st.integers(0, 9)), min_size=2, max_size=60))
def test_figures_lie_within_their_intervals_and_undefined_ones_are_none(films: list[tuple[int, float, int]]) -> None:
    labels, scores = np.array([f[0] for f in films]), np.array([f[1] for f in films])
    found = evaluate(labels, scores, scores > 0, [str(f[2]) for f in films])
    for interval in (found.accuracy, found.sensitivity, found.specificity, found.precision, found.roc_auc):
        if interval.value is not None:
            assert interval.low is not None
            assert interval.high is not None
            assert interval.low - 1e-9 <= interval.value <= interval.high + 1e-9
    if found.tp + found.fp + found.fn:
        assert found.f1.value == pytest.approx(f1_score(labels, scores > 0))
    else:
        assert found.f1.value is None


def test_intervals_are_the_same_every_time_and_wider_for_fewer_patients() -> None:
    labels = np.tile([0, 1], 100)
    scores = np.random.default_rng(0).normal(labels, 1.0)
    each = [str(i) for i in range(200)]
    few = [str(i // 20) for i in range(200)]
    first, again = (evaluate(labels, scores, scores > 0.5, each).f1 for _ in range(2))
    assert first == again
    assert evaluate(labels, scores, scores > 0.5, few).f1 != first
