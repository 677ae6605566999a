"""Acquisition style: numbers of how an image was made, and how well they alone predict its label.

Sharpness, exposure and borders say much of a label where the classes were made differently; a network learns that
first. Images whose style speaks against their label show what it learnt beside that.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Floats = NDArray[np.float64]
PERCENTILES = (1, 2, 5, 10, 25, 50, 75, 90, 95, 98, 99)
BANDS = (0.7, 1.4, 2.8, 5.6, 11.2)
"""Sigmas in pixels between which the image's energy is measured."""
NEARLY_BLACK = 12


def acquisition_style_features(images: NDArray[np.uint8]) -> Floats:
    """Return the features of images uint8 (n, rows, columns), float64 (n, 24).

    Grey percentiles, energy in frequency bands, dark borders, sharpness, and spread of the grey levels.
    """
    return np.array([_features(image) for image in images])


def _features(image: NDArray[np.uint8]) -> list[float]:
    grey = image.astype(np.float32)
    levels = [cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in BANDS]
    bands = [float(np.log1p((fine - coarse).std())) for fine, coarse in zip([grey, *levels], levels, strict=False)]
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    dark = [float((edge < NEARLY_BLACK).mean()), float((image < NEARLY_BLACK).mean()), float((image > 250).mean())]
    sharp = [float(np.log1p(cv2.Laplacian(grey, cv2.CV_32F).std())), float(np.log1p(np.abs(np.diff(grey)).mean()))]
    spread = [float(grey.mean()), float(grey.std()), float(np.abs(np.diff(levels[1], axis=0)).mean())]
    return [*np.percentile(image, PERCENTILES), *bands, *dark, *sharp, *spread]


def style_chances(images: NDArray[np.uint8], labels: NDArray[np.int64], patients: tuple[str, ...], seed: int) -> Floats:
    """Return the probability (n,) of each image's own label by style alone, balanced by class, out of fold."""
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000, class_weight="balanced"))
    probabilities = cross_val_predict(
        model, acquisition_style_features(images), labels, groups=np.array(patients), cv=folds, method="predict_proba"
    )
    own: Floats = probabilities[np.arange(len(labels)), labels]
    return own
