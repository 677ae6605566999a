from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, roc_auc_score

from metrics.evaluation import evaluate
from metrics.intervals import proportion
from metrics.roc import roc_auc

STUDY = {
    "cnn": ((138, 93, 3, 297), (0.8192, 0.7615, 0.9900, 0.8609, 0.79370)),
    "vuno": ((164, 67, 19, 281), (0.8380, 0.8075, 0.9367, 0.8673, 0.82331)),
    "lunit": ((121, 110, 11, 289), (0.7721, 0.7243, 0.9633, 0.8269, 0.74357)),
}


@pytest.mark.parametrize("system", STUDY)
def test_the_studys_tables_come_out_to_every_digit(system: str) -> None:
    (tn, fp, fn, tp), expected = STUDY[system]
    positive = np.repeat([False, False, True, True], [tn, fp, fn, tp])
    decided = np.repeat([False, True, False, True], [tn, fp, fn, tp])
    result = evaluate(positive, decided.astype(float), decided)
    assert (result.tn, result.fp, result.fn, result.tp) == (tn, fp, fn, tp)
    values = [result.accuracy, result.precision, result.sensitivity, result.f1, result.balanced_accuracy]
    assert [value.value for value in values] == pytest.approx(expected, abs=5.1e-5)
    assert result.roc_auc.value == pytest.approx(expected[-1], abs=5e-6)  # the area of the one-point ROC


def test_wilson_gives_the_studys_interval() -> None:
    interval = proportion(138, 231)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((0.533, 0.659), abs=5e-4)
    assert proportion(0, 0) is None


def test_delong_agrees_with_sklearn_and_with_resampling() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], [150, 100])
    scores = np.round(random.normal(labels * 1.2, 1.0), 1)  # rounded: ties
    area = roc_auc(labels == 1, scores)
    assert area is not None
    assert area.value == pytest.approx(roc_auc_score(labels, scores))
    draws = [random.integers(0, 250, 250) for _ in range(200)]
    areas = [roc_auc_score(labels[d], scores[d]) for d in draws]
    assert (area.high - area.low) / 3.92 == pytest.approx(np.std(areas), rel=0.2)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(-5, 5, width=16)), min_size=2, max_size=60))
def test_figures_lie_within_their_intervals_and_undefined_ones_are_none(images: list[tuple[bool, float]]) -> None:
    positive, scores = np.array([image[0] for image in images]), np.array([image[1] for image in images])
    result = evaluate(positive, scores, scores > 0)
    for interval in (result.accuracy, result.sensitivity, result.specificity, result.precision, result.roc_auc):
        if interval is not None:
            assert interval.low <= interval.value <= interval.high
    if result.tp + result.fp + result.fn:
        assert result.f1 is not None
        assert result.f1.value == pytest.approx(f1_score(positive, scores > 0))
    else:
        assert result.f1 is None
    assert (result.roc_auc is None) == (positive.all() or not positive.any())
