"""Outliers: the features that a network saw in a film come in; how far it lies from the films it knows goes out.

Squared Mahalanobis distance to the nearest of the known kinds of film (Lee et al. 2018, arXiv:1807.03888), which share
one covariance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierRule:
    """`centres` float32 (kinds, k); `whiten` float32 (k, k), with `whiten @ whiten.T` the inverse covariance."""

    centres: Floats32
    whiten: Floats32

    def distance(self, features: Floats32) -> float:
        """Squared distance of one film's `features` (k,) to the nearest centre."""
        return float(self.distances(features[None])[0])

    def distances(self, features: Floats32) -> NDArray[np.float64]:
        """Squared distances (n,) of `features` (n, k)."""
        white = features.astype(np.float64) @ self.whiten
        centres = self.centres.astype(np.float64) @ self.whiten
        found: NDArray[np.float64] = ((white[:, None] - centres[None]) ** 2).sum(axis=2).min(axis=1)
        return found
