"""Fit the out-of-distribution rule and choose its threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

from device.bundle.ood_rule import OutlierRule

MIN_IMAGES = 30
"""A source with fewer images has no centre of its own."""


def fit_ood_rule(features: NDArray[np.float32], image_sources: NDArray[np.str_]) -> OutlierRule:
    """Return one centre for each source of images and one covariance around them.

    `features` (n, k), `image_sources` (n,). Covariance after Ledoit and Wolf (2004), which few images suffice for.
    """
    names, counts = np.unique(image_sources, return_counts=True)
    named = np.where(np.isin(image_sources, names[counts >= MIN_IMAGES]), image_sources, "rare")
    centred, centres = features.astype(np.float64).copy(), []
    for name in np.unique(named):
        centre = centred[named == name].mean(axis=0)
        centred[named == name] -= centre
        centres.append(centre)
    values, axes = np.linalg.eigh(LedoitWolf(assume_centered=True).fit(centred).covariance_)
    whiten = axes / np.sqrt(values)
    return OutlierRule(centres=np.array(centres, np.float32), whiten=whiten.astype(np.float32))


def outlier_threshold(
    distances: NDArray[np.float64], image_sources: NDArray[np.str_], false_alarms: float, margin: float
) -> float:
    """Return the distance that `false_alarms` of the worst source's images exceed, times `margin`.

    Each source on its own, so that many images of one source do not hide that another's are refused.
    """
    names, counts = np.unique(image_sources, return_counts=True)
    large = [distances[image_sources == name] for name in names[counts >= MIN_IMAGES]] or [distances]
    return margin * max(float(np.quantile(own, 1 - false_alarms)) for own in large)
