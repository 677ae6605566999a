"""Normalize the intensity of a preprocessed image, so that scanners and hospitals look alike to the network.

Sharpness, exposure and contrast identify the hospital, and in some data sets even the class. A network that never sees
those differences cannot learn from them. Training, export and the box call this one function.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

GreyImage = NDArray[np.uint8]
IntensityNormalization = Literal["none", "smooth"]
"""`none`: as preprocessed. `smooth`: blur by one pixel, then set the central mean and standard deviation."""

MARGIN = 0.125
"""Share of each edge that is left out of the statistics: borders, collimation and markers lie there."""
TARGET_MEAN, TARGET_STD = 128.0, 56.0
MIN_STD = 4.0
"""Added to the measured standard deviation, so that an almost blank image is not amplified to noise."""


def normalize_intensity(image: GreyImage, normalization: IntensityNormalization) -> GreyImage:
    """Return `image`, uint8 (rows, columns) from 0 black to 255 white, normalized; shape and type stay."""
    if normalization == "none":
        return image
    blurred = np.asarray(cv2.GaussianBlur(image, (0, 0), 1.0), np.float32)
    rows, columns = (round(side * MARGIN) for side in image.shape)
    centre = blurred[rows : image.shape[0] - rows, columns : image.shape[1] - columns]
    standardized = (blurred - centre.mean()) / (centre.std() + MIN_STD) * TARGET_STD + TARGET_MEAN
    normalized: GreyImage = np.clip(np.rint(standardized), 0, 255).astype(np.uint8)
    return normalized
