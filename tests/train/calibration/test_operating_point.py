from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter

from device.bundle.manifest import Calibration
from train.calibration.methods import apply_calibration
from train.calibration.operating_point import (
    HeldOutLogits,
    OperatingPoint,
    operating_point,
    review_band,
    worst_source_logit,
)
from train.recipe import OperatingPointSection

SECTION = OperatingPointSection(calibration="pinned", review_share=0.15)


def draw_logits(count: int = 2000, shift: float = 0.0) -> HeldOutLogits:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, count)
    return HeldOutLogits(logits=random.normal(0, 1, count) + 2 * labels - 1 + shift, labels=labels)


def chosen(held_out: HeldOutLogits, *corrupted: HeldOutLogits) -> OperatingPoint:
    return operating_point(SECTION, held_out, np.full(len(held_out.labels), "a"), *corrupted)


def test_the_box_applies_the_same_map_and_one_half_is_the_operating_logit() -> None:
    section = SECTION.model_copy(update={"decide": "worst_source"})
    held_out = draw_logits(shift=1.3)
    point = operating_point(section, held_out, np.full(2000, "a"))
    on_the_box = TypeAdapter(Calibration).validate_python(point.calibration)
    assert point.operating_logit == pytest.approx(1.3, abs=0.2)
    assert on_the_box.apply(point.operating_logit) == pytest.approx(0.5, abs=1e-9)
    logits = np.linspace(-12, 12, 201)
    shares = apply_calibration(point.calibration, logits)
    np.testing.assert_allclose([on_the_box.apply(float(logit)) for logit in logits], shares, atol=1e-9)


def test_probabilities_are_continuous_and_rise() -> None:
    shares = apply_calibration(chosen(draw_logits()).calibration, np.linspace(-4, 4, 801))
    assert (np.diff(shares) > 0).all()
    assert np.diff(shares).max() < 0.02


def test_probabilities_are_the_observed_shares_where_classes_are_even() -> None:
    held_out = draw_logits(20_000)
    shares = apply_calibration(chosen(held_out).calibration, held_out.logits)
    for low in (0.1, 0.3, 0.5, 0.7):
        inside = (shares >= low) & (shares < low + 0.2)
        assert held_out.labels[inside].mean() == pytest.approx(shares[inside].mean(), abs=0.04)


def test_the_review_band_holds_errors_and_keeps_its_share() -> None:
    held_out = draw_logits()
    point = chosen(held_out)
    shares = apply_calibration(point.calibration, held_out.logits)
    review = (shares >= point.thresholds.clear_below) & (shares < point.thresholds.flag_at)
    assert review.mean() < 0.16
    wrong = (shares >= 0.5) != (held_out.labels == 1)
    assert wrong[review].sum() > 0.4 * wrong.sum()
    assert wrong[review].mean() > 2 * wrong[~review].mean()


def test_no_other_band_of_that_size_around_the_operating_logit_holds_more_errors() -> None:
    held_out, share = draw_logits(60, shift=0.7), 0.2
    logits, labels = held_out.logits, held_out.labels
    low, high = review_band(logits, labels, share)
    weights = np.where(labels == 1, 0.5 / labels.sum(), 0.5 / (1 - labels).sum())
    wrong = weights * ((logits >= 0) != (labels == 1))

    def errors(a: float, b: float) -> float:
        inside = (logits >= a) & (logits < b)
        return float(wrong[inside].sum()) if weights[inside].sum() <= share + 1e-9 else -1.0

    edges = [*np.sort(logits), logits.max() + 1e-6, 0.0]
    best = max(errors(a, b) for a in edges for b in edges if a <= 0 <= b)
    assert errors(low, high) == pytest.approx(best)


def test_the_worst_source_decides_where() -> None:
    """Source b scores one and a half lower as a whole: a threshold that suits a misses half of its pneumonias."""
    a, b = draw_logits(2000), draw_logits(400, shift=-1.5)
    both = HeldOutLogits(logits=np.concatenate([a.logits, b.logits]), labels=np.concatenate([a.labels, b.labels]))
    sources = np.repeat(["a", "b"], [2000, 400])
    operating_logit = worst_source_logit(both, sources)

    def lowest(logit: float) -> float:
        rates = []
        for source in "ab":
            for label in (0, 1):
                own = both.logits[(sources == source) & (both.labels == label)]
                rates.append(((own >= logit) == label).mean())
        return float(min(rates))

    assert lowest(operating_logit) >= max(lowest(logit) for logit in np.linspace(-3, 3, 121)) - 0.01
    assert lowest(operating_logit) > lowest(worst_source_logit(a, np.full(2000, "a"))) + 0.05


def test_a_source_with_few_images_does_not_decide() -> None:
    a, few = draw_logits(2000), draw_logits(10, shift=-50)
    both = HeldOutLogits(logits=np.concatenate([a.logits, few.logits]), labels=np.concatenate([a.labels, few.labels]))
    sources = np.repeat(["a", "few"], [2000, 10])
    assert worst_source_logit(both, sources) == pytest.approx(worst_source_logit(a, sources[:2000]), abs=0.05)
    assert worst_source_logit(few, np.full(10, "few")) == 0.0


def test_corrupted_copies_make_probabilities_less_certain_and_leave_the_operating_logit() -> None:
    held_out = draw_logits()
    blurred = held_out.logits + np.random.default_rng(1).normal(0, 3, len(held_out.logits))
    plain, corrupted = chosen(held_out), chosen(held_out, HeldOutLogits(logits=blurred, labels=held_out.labels))
    assert corrupted.operating_logit == plain.operating_logit
    far = np.array([3.0])
    assert apply_calibration(corrupted.calibration, far)[0] < apply_calibration(plain.calibration, far)[0]
