"""Calibration methods: maps from logit to probability, fitted on held-out images.

The parameters are named as a bundle's manifest names them, so the box applies the very same map.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

Floats = NDArray[np.float64]
Calibration = Mapping[str, Any]
"""`method` and its parameters."""
MIN_SLOPE = 1e-3
"""A fit that turns the order of the images round, or flattens it, is no calibration."""


def fit_calibration(method: str, logits: Floats, labels: NDArray[np.int64], prevalence: float | None) -> Calibration:
    """Maximum likelihood on `logits` (n,) with labels 0 or 1.

    Images are weighted so that pneumonia has the share `prevalence`; None keeps their own share. Platt (1999) with his
    target smoothing; Guo et al. (2017) for `temperature`; Zadrozny and Elkan (2002) for `isotonic`.
    """
    weights = _weights(labels, prevalence)
    targets = _platt_targets(labels)
    if method == "none":
        return {"method": "none"}
    if method == "isotonic":
        return _isotonic(logits, labels, weights)
    if method == "temperature":
        (slope,) = _minimise(lambda p: _loss(p[0] * logits, targets, weights), [1.0], [(MIN_SLOPE, None)])
        return {"method": "temperature", "t": 1.0 / slope}
    bounds = [(MIN_SLOPE, None), (None, None)]
    slope, shift = _minimise(lambda p: _loss(p[0] * logits + p[1], targets, weights), [1.0, 0.0], bounds)
    return {"method": "platt", "a": slope, "b": shift}


def _isotonic(logits: Floats, labels: NDArray[np.int64], weights: Floats) -> Calibration:
    """Steps that never fall, joined by straight lines; beyond the outermost images their own probability."""
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(logits, labels, weights)
    return {
        "method": "isotonic",
        "logits": tuple(fitted.X_thresholds_.tolist()),
        "probabilities": tuple(fitted.y_thresholds_.tolist()),
    }


def apply_calibration(calibration: Calibration, logits: Floats) -> Floats:
    """Probabilities (n,), by the formulas of the box."""
    if calibration["method"] == "platt":
        logits = calibration["a"] * logits + calibration["b"]
    elif calibration["method"] == "temperature":
        logits = logits / calibration["t"]
    elif calibration["method"] == "isotonic":
        between: Floats = np.interp(logits, calibration["logits"], calibration["probabilities"])
        return between
    probabilities: Floats = expit(logits)
    return probabilities


def _weights(labels: NDArray[np.int64], prevalence: float | None) -> Floats:
    if prevalence is None:
        return np.full(len(labels), 1.0 / len(labels))
    positives = max(int(labels.sum()), 1)
    negatives = max(len(labels) - positives, 1)
    return np.where(labels == 1, prevalence / positives, (1.0 - prevalence) / negatives)


def _platt_targets(labels: NDArray[np.int64]) -> Floats:
    """Platt's smoothed targets: they keep a perfect separation from an infinite slope."""
    positives, negatives = int(labels.sum()), int((1 - labels).sum())
    return np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))


def _loss(logits: Floats, targets: Floats, weights: Floats) -> float:
    # log(1 + e^x) - target * x, the cross-entropy without overflow.
    return float(np.sum(weights * (np.logaddexp(0.0, logits) - targets * logits)))


def _minimise(loss: Callable[[Floats], float], start: list[float], bounds: list[Any]) -> list[float]:
    fitted = minimize(loss, np.array(start), method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-12})
    return [float(value) for value in fitted.x]
