"""The detector: from thicknesses to the image that a flat panel would give, 14 bits, dense tissue white.

Beer-Lambert with one effective energy: 125 kVp with added copper and the body's own hardening is near 60 keV.
Mass attenuation coefficients at 60 keV in cm2/g: Hubbell & Seltzer, NISTIR 5632 (NIST's tables, ICRU-44 tissues).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sim.phantom.grid import Map, blur, resize

SOFT_PER_CM = 0.2048 * 1.06
BONE_PER_CM = 0.3148 * 1.92
FAT_PER_CM = 0.1974 * 0.95
LUNG_DENSITY_SHARE = 0.23
"""Density of aerated lung at full inspiration over that of soft tissue."""
SCATTER_SHARE = 0.055
SCATTER_SIGMA_CM = 3.6
PHOTONS_OPEN = 24_000.0
"""Detected quanta per 0.14 mm pixel without a patient, at exposure 1."""
BITS = 14
FULL = 2**BITS - 1
# The grey curve as a table: levels from -3 to 4.
_LOWEST, _RANGE, _STEPS = 3.0, 7.0, 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """Path lengths (size, size) in cm along the rays, the lung's share that is filled, and where the lungs are."""

    body: Map
    fat: Map
    lung: Map
    filled: Map
    vessels: Map
    air: Map
    bone: Map
    lead: Map


def attenuation(parts: Anatomy) -> Map:
    """Return the line integral of the attenuation coefficient (no unit): the exponent of Beer-Lambert."""
    aerated = parts.lung * (1 - parts.filled)
    soft = parts.body - aerated - parts.air + LUNG_DENSITY_SHARE * aerated
    soft = soft + (1 - LUNG_DENSITY_SHARE) * np.minimum(parts.vessels, parts.lung) * (1 - parts.filled)
    total = SOFT_PER_CM * np.maximum(soft, 0) - (SOFT_PER_CM - FAT_PER_CM) * np.minimum(parts.fat, parts.body)
    return np.asarray(total + (BONE_PER_CM - SOFT_PER_CM) * parts.bone + parts.lead, np.float32)


def signal(exponent: Map, pixel_cm: float) -> Map:
    """Return the share of the open beam that the detector receives: primary and scattered rays, behind a grid."""
    primary = np.exp(-exponent)
    scattered = SCATTER_SHARE * blur(primary * np.minimum(exponent, 5.0), SCATTER_SIGMA_CM / pixel_cm)
    return np.asarray(primary + np.maximum(scattered, 0), np.float32)


def process(received: Map, lungs: Map, *, pixel_cm: float, contrast: float) -> Map:
    """Return the logarithm, flattened and sharpened as a chest protocol does: about 0 in lungs, 1 in mediastinum."""
    density = -np.log(np.maximum(received, 1e-5))
    dark, white = _reference_levels(density, lungs)
    # A wide unsharp mask flattens the range between lung and mediastinum; two narrow ones lift ribs and vessels.
    limited = np.clip(density, dark - 0.9, white + 0.3)
    wide, middle, narrow = (blur(limited, cm / pixel_cm) for cm in (2.4, 0.55, 0.12))
    shown = density - 0.30 * wide + 0.33 * (limited - middle) + 0.7 * (limited - narrow)
    dark, white = dark * 0.70, white * 0.70
    return np.asarray((shown - dark) / (white - dark) * contrast + (1 - contrast) * 0.5, np.float32)


def _reference_levels(density: Map, lungs: Map) -> tuple[float, float]:
    """Return the attenuations shown as lung and mediastinum; without lungs, as thinner and as thickest parts."""
    body = density[density > 0.25]
    if lungs.max() < 1.0:
        white = float(np.percentile(body, 97))
        return 0.6 * white, white
    within = lungs > 0.55 * np.percentile(lungs, 97)
    return float(np.median(density[within])), float(np.percentile(density[density > 0.6], 88))


def grey_curve(level: Map) -> Map:
    """Map level (lung 0, mediastinum 1) to grey, 0 to 1, by an S curve: soft toe below the lung, shoulder above."""
    return np.asarray(0.97 / (1 + np.exp(-(level - 0.03) * 2.15)), np.float32)


def digitise(level: Map, received: Map, size: int, exposure: float, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Return 14-bit pixels (size, size): the level enlarged, with quantum noise for that exposure, as grey.

    Poisson noise of n quanta is 1/sqrt(n) in the logarithm; at these counts (30 and more) its normal limit serves.
    """
    scale = size / received.shape[0]
    quanta = np.maximum(received * exposure * PHOTONS_OPEN * (3072 / size) ** 2, 20.0)
    grain = resize((1 / np.sqrt(quanta)).astype(np.float32), size)
    noise: Map = rng.standard_normal((size, size), dtype=np.float32)
    if scale > 1.5:
        noise = np.asarray(cv2.GaussianBlur(noise, (3, 3), 0.55), np.float32)
    # In place: at full size each copy is 38 MB.
    noise *= grain
    noise *= np.float32(0.6)
    noise += resize(level, size)
    noise += np.float32(_LOWEST)
    noise *= np.float32((_STEPS - 1) / _RANGE)
    np.clip(noise, 0, _STEPS - 1, out=noise)
    table = grey_curve(np.linspace(-_LOWEST, _RANGE - _LOWEST, _STEPS, dtype=np.float32))
    return np.asarray((table * FULL + 0.5).astype(np.uint16)[noise.astype(np.uint16)])
