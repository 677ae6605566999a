"""Fit the out-of-distribution rule and choose its threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

from device.bundle.ood_rule import OutlierRule

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
REJECTED_WEIGHT = 2.5
"""Rejects 96 % of children and of inverted images where 1 made it 28 % and 98 %; from 4 on, others pass unnoticed."""
MIN_IMAGES = 30
"""A source with fewer images has no centre of its own."""


def fit_ood_rule(features: Floats32, image_sources: NDArray[np.str_], rejected: Sequence[Floats32] = ()) -> OutlierRule:
    """Return one centre for each source of images and one covariance around them.

    `features` (n, k), `image_sources` (n,). Covariance after Ledoit and Wolf (2004), which few images suffice for.
    `rejected` are features (m, k) of groups of images that must be rejected. The direction that tells each group from
    the others (Fisher's discriminant) counts REJECTED_WEIGHT times as much as it would by the covariance alone.
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
    within, middle = centred @ whiten, features.mean(axis=0) @ whiten
    directions = [whiten @ _discriminant(within, group @ whiten, middle) for group in rejected]
    columns = np.column_stack([whiten, *(REJECTED_WEIGHT * direction for direction in directions)])
    return OutlierRule(centres=np.array(centres, np.float32), whiten=columns.astype(np.float32))


def _discriminant(within: Floats, group: Floats, middle: Floats) -> Floats:
    """Return the direction (k,) between `middle` and the group's mean, of unit variance within both."""
    shift = group.mean(axis=0) - middle
    covariance = LedoitWolf(assume_centered=True).fit(np.concatenate([within, group - group.mean(axis=0)])).covariance_
    direction = np.linalg.solve(covariance, shift)
    unit: Floats = direction / np.sqrt(direction @ covariance @ direction)
    return unit


def outlier_threshold(
    distances: NDArray[np.float64], image_sources: NDArray[np.str_], false_alarms: float, margin: float
) -> float:
    """Return the distance that `false_alarms` of the worst source's images exceed, times `margin`.

    Each source on its own, so that many images of one source do not hide that another's are refused.
    """
    names, counts = np.unique(image_sources, return_counts=True)
    large = [distances[image_sources == name] for name in names[counts >= MIN_IMAGES]] or [distances]
    return margin * max(float(np.quantile(own, 1 - false_alarms)) for own in large)
