from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy.special import expit

from device.bundle.manifest import Calibration
from train.calibration.methods import apply_calibration, fit_calibration

BOX = TypeAdapter(Calibration)


def simulated(a: float, b: float, count: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose true probability is sigmoid(a * logit + b)."""
    random = np.random.default_rng(1)
    logits = random.normal(0, 3, count)
    return logits, (random.random(count) < expit(a * logits + b)).astype(np.int64)


def test_platt_finds_the_parameters_that_made_the_labels() -> None:
    logits, labels = simulated(0.6, 0.8)
    calibration = fit_calibration("platt", logits, labels, None)
    assert calibration["a"] == pytest.approx(0.6, abs=0.03)
    assert calibration["b"] == pytest.approx(0.8, abs=0.05)


def test_temperature_finds_the_temperature_that_made_the_labels() -> None:
    logits, labels = simulated(0.4, 0.0)
    assert fit_calibration("temperature", logits, labels, None)["t"] == pytest.approx(2.5, rel=0.05)


def test_probabilities_refer_to_the_prevalence_asked_for() -> None:
    random = np.random.default_rng(2)
    labels = (random.random(20_000) < 0.9).astype(np.int64)
    logits = random.normal(2 * labels - 1, 1.0)
    balanced = apply_calibration(fit_calibration("platt", logits, labels, 0.5), np.zeros(1))
    own_share = apply_calibration(fit_calibration("platt", logits, labels, None), np.zeros(1))
    assert balanced[0] == pytest.approx(0.5, abs=0.03)
    assert own_share[0] == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("method", ["none", "platt", "temperature", "isotonic"])
def test_the_box_applies_the_very_same_map(method: str) -> None:
    logits, labels = simulated(0.7, -0.5, 500)
    calibration = fit_calibration(method, logits, labels, 0.5)
    on_the_box = BOX.validate_python(dict(calibration))
    probabilities = apply_calibration(calibration, logits)
    assert [on_the_box.apply(float(logit)) for logit in logits] == pytest.approx(probabilities.tolist(), abs=1e-12)


@pytest.mark.parametrize("method", ["platt", "temperature"])
def test_images_that_are_told_apart_perfectly_give_a_finite_slope(method: str) -> None:
    logits, labels = np.array([-3.0, -2.0, 2.0, 3.0]), np.array([0, 0, 1, 1])
    probabilities = apply_calibration(fit_calibration(method, logits, labels, 0.5), logits)
    assert np.all((probabilities > 0.01) & (probabilities < 0.99))


def test_a_network_that_is_worse_than_chance_is_not_turned_round() -> None:
    logits, labels = simulated(-0.5, 0.0, 2000)
    assert fit_calibration("platt", logits, labels, 0.5)["a"] > 0
