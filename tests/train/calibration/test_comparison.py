from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from train.calibration.comparison import METHODS, Calibrated, calibrations
from train.calibration.methods import apply_calibration, fit_calibration
from train.calibration.operating_point import HeldOutLogits


def held(slope: float, shift: float, *, count: int, seed: int) -> HeldOutLogits:
    """Images whose true probability is sigmoid(slope * logit + shift)."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, count)
    return HeldOutLogits(logits=logits, labels=(random.random(count) < expit(slope * logits + shift)).astype(np.int64))


def compared(slope: float, shift: float) -> dict[str, Calibrated]:
    fitted_on, measured_on = (held(slope, shift, count=4000, seed=seed) for seed in (1, 2))
    rows = calibrations(
        fitted_on, measured_on, [str(i) for i in range(4000)], prevalence=None, in_force=("own", {"method": "none"})
    )
    assert [row.method for row in rows] == [*METHODS, "own"]
    assert [row.in_force for row in rows] == [False, False, False, False, True]
    return {row.method: row for row in rows}


def value(row: Calibrated) -> float:
    assert row.ece.value is not None
    return row.ece.value


def test_the_way_that_can_hold_the_truth_errs_least() -> None:
    shifted = compared(0.5, 1.0)
    assert value(shifted["platt"]) < 0.03 < value(shifted["temperature"])
    assert value(shifted["isotonic"]) < 0.04
    scaled = compared(0.5, 0.0)
    assert value(scaled["temperature"]) < 0.03 < value(scaled["none"])


def test_the_map_in_force_is_measured_as_it_is() -> None:
    rows = compared(0.5, 1.0)
    assert (rows["own"].ece, rows["own"].brier) == (rows["none"].ece, rows["none"].brier)


def test_the_images_that_made_a_map_do_not_measure_it() -> None:
    """Isotonic steps follow the labels they were fitted on: on other images they must err, or the check is none."""
    noise = [
        HeldOutLogits(logits=np.arange(400.0), labels=np.random.default_rng(s).integers(0, 2, 400)) for s in (1, 2)
    ]
    patients = [str(i) for i in range(400)]
    own, other = (
        {
            row.method: row
            for row in calibrations(noise[0], classify, patients, prevalence=None, in_force=("own", {"method": "none"}))
        }
        for classify in noise
    )
    assert own["isotonic"].brier.value < other["isotonic"].brier.value  # type: ignore[operator]


def test_isotonic_is_scikit_learns() -> None:
    held_out = held(0.6, 0.3, count=500, seed=3)
    calibration = fit_calibration("isotonic", held_out.logits, held_out.labels, None)
    scikit_learn = IsotonicRegression(out_of_bounds="clip").fit(held_out.logits, held_out.labels)
    logits = np.linspace(-12, 12, 101)
    assert apply_calibration(calibration, logits) == pytest.approx(scikit_learn.predict(logits), abs=1e-9)
