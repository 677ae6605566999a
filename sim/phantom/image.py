"""The simulated radiograph: its pixels, from a spec and a view."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from sim.phantom.chest import chest_anatomy
from sim.phantom.detector import FULL, attenuation, digitise, process, signal
from sim.phantom.grid import FIELD_CM
from sim.phantom.other_views import hand_anatomy, lateral_anatomy
from sim.phantom.spec import Spec

RENDER_SIZE = 1024
FULL_SIZE = 3072


class View(StrEnum):
    """The projection. Only `PA` is for the network; the gate rejects the others."""

    PA = "pa"
    LATERAL = "lateral"
    HAND = "hand"


_ANATOMY = {View.PA: chest_anatomy, View.LATERAL: lateral_anatomy, View.HAND: hand_anatomy}


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomImage:
    """`pixels`: (size, size) uint16 of 14 bits, dense is white (MONOCHROME2)."""

    pixels: NDArray[np.uint16]
    spec: Spec
    view: View

    @property
    def pixel_mm(self) -> float:
        """Side of a pixel at the detector."""
        return 10 * FIELD_CM / len(self.pixels)

    def grey(self) -> NDArray[np.uint8]:
        """Return the pixels as 8-bit grey, 0 black to 255 white."""
        return np.asarray(self.pixels.astype(np.float32) * (255 / FULL) + 0.5, np.uint8)


def render(spec: Spec, *, view: View = View.PA, size: int = FULL_SIZE) -> PhantomImage:
    """Return the image of this spec, `size` pixels a side; the same spec gives the same pixels."""
    work = min(RENDER_SIZE, size)
    parts = _ANATOMY[view](spec, work)
    pixel_cm = FIELD_CM / work
    received = signal(attenuation(parts), pixel_cm)
    level = process(received, parts.lung, pixel_cm=pixel_cm, contrast=spec.contrast)
    pixels = digitise(level, received, size, spec.exposure, np.random.default_rng([spec.seed, 5]))
    return PhantomImage(pixels=_collimated(pixels, spec), spec=spec, view=view)


def _collimated(pixels: NDArray[np.uint16], spec: Spec) -> NDArray[np.uint16]:
    """Set the pixels to 0 where the collimator closed the beam."""
    border = int(spec.collimation_cm / FIELD_CM * len(pixels))
    if border:
        pixels[:border], pixels[-border:] = 0, 0
        pixels[:, :border], pixels[:, -border:] = 0, 0
    return pixels
