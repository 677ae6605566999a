"""Golden images: a seed comes in; synthetic images go out, on which a box must repeat the logits of this machine.

They are drawn and never taken from patients, because bundles are passed on.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from device.preprocess.render import INPUT_SHAPE

ROWS, COLUMNS = INPUT_SHAPE
PHANTOMS = 6


def golden_inputs(seed: int = 0) -> NDArray[np.uint8]:
    """Return uint8 (10, 224, 224): flat grey, a gradient, fine and coarse noise, and six drawn chests."""
    random = np.random.default_rng(seed)
    gradient = np.linspace(0, 255, COLUMNS)[None].repeat(ROWS, axis=0)
    fine = random.integers(0, 256, INPUT_SHAPE)
    coarse = cv2.resize(random.random((7, 7)), (COLUMNS, ROWS), interpolation=cv2.INTER_CUBIC) * 255
    drawn = [_chest(random, clouded=bool(index % 2)) for index in range(PHANTOMS)]
    images = np.stack([np.full(INPUT_SHAPE, 128), gradient, fine, coarse, *drawn])
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)


def _chest(random: np.random.Generator, *, clouded: bool) -> NDArray[np.float64]:
    """Draw dark lungs in a grey body, a white spine and heart, and noise; with a white patch in one lung if clouded."""
    image = np.full(INPUT_SHAPE, 150.0 + random.uniform(-20, 20))
    for centre in (70, 154):
        _ellipse(image, (centre, 108), (34, 74), -random.uniform(70, 110))
    _ellipse(image, (112, 112), (9, 112), 45.0)
    _ellipse(image, (128, 140), (34, 42), 50.0)
    if clouded:
        _ellipse(image, (70, int(random.integers(100, 150))), (26, 22), random.uniform(50, 90))
    image = cv2.GaussianBlur(image, (0, 0), 6)
    return np.asarray(image + random.normal(0, 3, INPUT_SHAPE), np.float64)


def _ellipse(image: NDArray[np.float64], centre: tuple[int, int], axes: tuple[int, int], grey: float) -> None:
    mask = np.zeros(INPUT_SHAPE, np.uint8)
    cv2.ellipse(mask, centre, axes, 0, 0, 360, 1, -1)
    image += mask * grey
