from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from device.bundle.manifest import Calibration
from train.calibration.methods import apply_calibration
from train.calibration.operating_point import (
    HeldOutLogits,
    operating_point,
    pinned,
    review_band,
    sensitive_logit,
)
from train.recipe import OperatingPointSection

SECTION = OperatingPointSection(calibration="pinned", operating_sensitivity=0.96, review_share=0.15)


def draw_logits(count: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, count)
    return random.normal(0, 1, count) + 2 * labels - 1, labels


@given(st.floats(0.3, 5), st.floats(-3, 3), st.floats(-8, 8))
def test_the_box_takes_the_map_and_one_half_begins_at_the_anchor(
    slope: float, shift: float, operating_logit: float
) -> None:
    operating_logit = round(operating_logit, 6)
    calibration = pinned(slope, shift, operating_logit)
    on_the_box = TypeAdapter(Calibration).validate_python(calibration)
    assert on_the_box.apply(operating_logit) >= 0.5 > on_the_box.apply(operating_logit - 1e-4)
    logits = np.linspace(-12, 12, 201)
    shares = apply_calibration(calibration, logits)
    assert (np.diff(shares) >= 0).all()
    np.testing.assert_allclose([on_the_box.apply(float(logit)) for logit in logits], shares, atol=1e-9)


def test_away_from_the_anchor_it_is_platts() -> None:
    far = np.array([-6.0, -4.0, 4.0, 6.0])
    found = apply_calibration(pinned(1.0, 0.0, -1.5), far)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-far)), atol=2e-3)


def test_the_anchor_has_the_sensitivity_that_was_asked_for() -> None:
    positive = np.sort(np.random.default_rng(0).normal(0, 1, 500))
    operating_logit = sensitive_logit(positive, 0.96)
    assert (positive >= operating_logit).mean() == pytest.approx(0.96)


def test_the_thresholds_hold_what_they_promise() -> None:
    logits, labels = draw_logits()
    point = operating_point(SECTION, logits, labels)
    shares = apply_calibration(point.calibration, logits)
    called = shares >= 0.5
    assert called[labels == 1].mean() == pytest.approx(0.96, abs=0.002)
    review = (shares >= point.thresholds.clear_below) & (shares < point.thresholds.flag_at)
    assert review.mean() < 0.16
    wrong = called != (labels == 1)
    assert wrong[review].sum() > 0.4 * wrong.sum()
    assert wrong[review].mean() > 2 * wrong[~review].mean()


def test_no_other_band_of_that_size_around_the_anchor_holds_more_errors() -> None:
    logits, labels = draw_logits(60)
    operating_logit, share = -0.7, 0.2
    low, high = review_band(logits, labels, operating_logit, share)
    weights = np.where(labels == 1, 0.5 / labels.sum(), 0.5 / (1 - labels).sum())
    wrong = weights * ((logits >= operating_logit) != (labels == 1))

    def errors(a: float, b: float) -> float:
        inside = (logits >= a) & (logits < b)
        return float(wrong[inside].sum()) if weights[inside].sum() <= share + 1e-9 else -1.0

    edges = [*np.sort(logits), logits.max() + 1e-6, operating_logit]
    best = max(errors(a, b) for a in edges for b in edges if a <= operating_logit <= b)
    assert errors(low, high) == pytest.approx(best)


def test_worse_exposures_make_probabilities_less_sure_and_leave_the_anchor() -> None:
    logits, labels = draw_logits()
    blurred = logits + np.random.default_rng(1).normal(0, 3, len(logits))
    plain = operating_point(SECTION, logits, labels)
    corrupted = operating_point(SECTION, logits, labels, HeldOutLogits(logits=blurred, labels=labels))
    assert corrupted.operating_logit == plain.operating_logit
    far = np.array([3.0])
    assert apply_calibration(corrupted.calibration, far)[0] < apply_calibration(plain.calibration, far)[0]
