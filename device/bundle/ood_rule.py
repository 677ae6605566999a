"""Out-of-distribution rule: how far the features of an image are from those of the training images.

Squared Mahalanobis distance to the nearest class centre, with one covariance for all classes (Lee et al. 2018,
arXiv:1807.03888).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierRule:
    """`centres` float32 (classes, k); `whiten` float32 (k, m), its first k columns' product the inverse covariance.

    Further columns are directions that tell images which must be rejected; `train.calibration` says how.
    """

    centres: Floats32
    whiten: Floats32

    def distance(self, features: Floats32) -> float:
        """Return the squared distance of the `features` (k,) of one image to the nearest centre."""
        return float(self.distances(features[None])[0])

    def distances(self, features: Floats32) -> NDArray[np.float64]:
        """Return the squared distances (n,) of `features` (n, k)."""
        whitened = features.astype(np.float64) @ self.whiten
        centres = self.centres.astype(np.float64) @ self.whiten
        distances: NDArray[np.float64] = ((whitened[:, None] - centres[None]) ** 2).sum(axis=2).min(axis=1)
        return distances
