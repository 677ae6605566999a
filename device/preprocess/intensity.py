"""Tone: a preprocessed film and the tone that its network was trained on come in; the film in that tone goes out.

How a scanner renders a film (sharpness, exposure, contrast) tells hospitals and even classes of a data set apart. A
network that never sees those differences cannot learn from them. The one copy: training, export and the box call it.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Tone = Literal["none", "smooth"]
"""`none`: as preprocessed. `smooth`: a blur of one pixel, then the middle's mean and spread brought to a standard."""

MIDDLE = 0.125
"""Share of each edge that is left out of mean and spread: borders, collimation and markers lie there."""
MEAN, SPREAD = 128.0, 56.0
LEAST_SPREAD = 4.0
"""Added to the spread found, so that a nearly blank film is not blown up to noise."""


def in_tone(film: Grey, tone: Tone) -> Grey:
    """`film` uint8 (rows, columns), 0 black to 255 white; the same shape and type."""
    return film if tone == "none" else _smooth(film)


def _smooth(film: Grey) -> Grey:
    blurred = np.asarray(cv2.GaussianBlur(film, (0, 0), 1.0), np.float32)
    rows, columns = (round(side * MIDDLE) for side in film.shape)
    middle = blurred[rows : film.shape[0] - rows, columns : film.shape[1] - columns]
    standard = (blurred - middle.mean()) / (middle.std() + LEAST_SPREAD) * SPREAD + MEAN
    toned: Grey = np.clip(np.rint(standard), 0, 255).astype(np.uint8)
    return toned
