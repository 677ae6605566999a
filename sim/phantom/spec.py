"""The specification of a phantom: one imaginary adult, positioned and exposed, drawn from a seed.

Lengths in centimetres, angles in degrees. The patient's right side is on the image's left, as on a lightbox:
x grows to the image's right, y downwards, z towards the front; the middle of the detector is the origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np


class Finding(StrEnum):
    """What the phantom's lungs hold."""

    NORMAL = "normal"
    LOBAR = "lobar"
    PATCHY = "patchy"

    @property
    def is_pneumonia(self) -> bool:
        """True for either form of consolidation."""
        return self is not Finding.NORMAL


class Lobe(StrEnum):
    """Where a lobar consolidation sits."""

    RIGHT_UPPER = "right upper"
    RIGHT_MIDDLE = "right middle"
    RIGHT_LOWER = "right lower"
    LEFT_UPPER = "left upper"
    LEFT_LOWER = "left lower"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One imaginary adult. Scales are about 1; `inspiration_cm` lowers (positive) or raises the diaphragm."""

    seed: int
    finding: Finding
    sex: str
    age_years: int
    width_scale: float
    height_scale: float
    depth_scale: float
    fat_cm: float
    breast_cm: float
    inspiration_cm: float
    rotation_deg: float
    shift_x_cm: float
    shift_y_cm: float
    heart_scale: float
    aorta_scale: float
    right_dome_higher_cm: float
    gas_cm: float
    exposure: float
    contrast: float
    collimation_cm: float
    marker: str
    lobe: Lobe
    severity: float


def draw_spec(seed: int, finding: Finding = Finding.NORMAL) -> Spec:
    """The adult of this seed: the same body whatever the finding, so that pairs differ in the lungs only."""
    rng = np.random.default_rng([seed, 0])
    female = bool(rng.choice(["M", "F"]) == "F")
    age = int(rng.integers(22, 90))
    return Spec(
        seed=seed,
        finding=finding,
        sex="F" if female else "M",
        age_years=age,
        width_scale=_around(rng, 0.96 if female else 1.02, 0.04),
        height_scale=_around(rng, 0.96 if female else 1.01, 0.04),
        depth_scale=_around(rng, 0.97 if female else 1.03, 0.08),
        fat_cm=float(rng.uniform(0.2, 2.4)),
        breast_cm=float(rng.uniform(1.4, 3.6)) if female else 0.0,
        inspiration_cm=_around(rng, 0.0, 0.9),
        rotation_deg=_around(rng, 0.0, 1.8),
        shift_x_cm=_around(rng, 0.0, 0.5),
        shift_y_cm=_around(rng, 0.0, 0.8),
        heart_scale=_around(rng, 1.0, 0.06),
        aorta_scale=0.85 + 0.3 * (age - 22) / 68 + _around(rng, 0.0, 0.04),
        right_dome_higher_cm=_around(rng, 1.0, 0.35),
        gas_cm=max(0.0, _around(rng, 1.1, 0.6)),
        exposure=float(np.exp(_around(rng, 0.0, 0.25))),
        contrast=_around(rng, 1.0, 0.08),
        collimation_cm=float(rng.choice([0.0, 0.0, rng.uniform(0.3, 1.2)])),
        marker=str(rng.choice(["L", "R", "L", ""])),
        lobe=Lobe(str(rng.choice([lobe.value for lobe in Lobe]))),
        severity=float(rng.uniform(0.55, 1.0)),
    )


def _around(rng: np.random.Generator, middle: float, spread: float) -> float:
    """A value near `middle`, never further than 2.2 spreads: bodies vary, but none is a caricature."""
    return middle + spread * float(np.clip(rng.standard_normal(), -2.2, 2.2))
