"""Compare calibration methods on images that they were not fitted on.

Each is fitted on the images that chose the operating point and measured on others, of other patients: a map may follow
the images that made it as closely as it likes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metrics.calibration import brier, ece_interval
from metrics.estimates import Estimate
from train.calibration.methods import Calibration, apply_calibration, fit_calibration
from train.calibration.operating_point import HeldOutLogits

METHODS = ("none", "temperature", "platt", "isotonic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """How one map from logits to probabilities did. `in_force`: it is the bundle's."""

    method: str
    in_force: bool
    ece: Estimate | None
    brier: Estimate | None


def calibrations(
    fitted_on: HeldOutLogits,
    measured_on: HeldOutLogits,
    patients: Sequence[str],
    *,
    prevalence: float | None,
    in_force: tuple[str, Calibration],
) -> tuple[Calibrated, ...]:
    """Every method, then the map `in_force`, by name, as it is. `patients` (n,) are of `measured_on`.

    All refer to the same `prevalence`, see `train.calibration.methods.fit_calibration`.
    """
    methods = {method: fit_calibration(method, fitted_on.logits, fitted_on.labels, prevalence) for method in METHODS}
    positive = measured_on.labels == 1
    return tuple(
        Calibrated(
            method=method,
            in_force=calibration is in_force[1],
            ece=ece_interval(probabilities, positive, patients),
            brier=brier(probabilities, positive, patients),
        )
        for method, calibration in [*methods.items(), in_force]
        for probabilities in [apply_calibration(calibration, measured_on.logits)]
    )
