"""Calibration: how far probabilities can be believed, and the bins of the reliability diagram.

Sources: expected calibration error, Naeini, Cooper and Hauskrecht (2015, AAAI 29:2901); Brier (1950, Mon Weather Rev
78:1). Intervals are bootstraps over patients, see `metrics.intervals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrics.estimates import Bools, Estimate, Floats
from metrics.intervals import (
    OVER_PATIENTS,
    RESAMPLES,
    SEED,
    bootstrap_mean,
    patient_sums,
    percentile_estimate,
    proportion,
    resampled_sums,
)

BINS = 10
SIMULATIONS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Images with a probability in [low, high): their number, mean probability and share of positive ones."""

    low: float
    high: float
    n: int
    probability: float
    observed: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Of n images. `ece` has bins of equal width, `ece_equal_mass` of equal numbers of images.

    `ece_if_perfect` is the mean `ece` that n images show by chance alone if every probability were true: only what
    exceeds it is an error of calibration. `brier` is None where a score is no probability.
    """

    n: int
    prevalence: float
    bins: tuple[ReliabilityBin, ...]
    ece: Estimate | None
    ece_equal_mass: Estimate | None
    ece_if_perfect: float
    brier: Estimate | None


def reliability(probabilities: Floats, positive: Bools, patients: Sequence[str]) -> Reliability:
    """Return the reliability of `probabilities` (n,) of images of which some are `positive` (n,), n at least 1."""
    width, mass = width_edges(), mass_edges(probabilities)
    return Reliability(
        n=len(positive),
        prevalence=float(positive.mean()),
        bins=reliability_bins(probabilities, positive, width),
        ece=ece_interval(probabilities, positive, patients, width),
        ece_equal_mass=ece_interval(probabilities, positive, patients, mass),
        ece_if_perfect=_if_perfect(probabilities, width),
        brier=brier(probabilities, positive, patients),
    )


def width_edges(count: int = BINS) -> Floats:
    """Return edges (count + 1,) of bins of equal width over 0 to 1."""
    return np.linspace(0, 1, count + 1)


def mass_edges(probabilities: Floats, count: int = BINS) -> Floats:
    """Return edges of at most `count` bins with equally many images; equal probabilities stay together."""
    inner = np.unique(np.quantile(probabilities, np.linspace(0, 1, count + 1)[1:-1], method="higher"))
    return np.concatenate([[0.0], inner[inner > 0], [1.0]])


def ece(probabilities: Floats, positive: Bools, edges: Floats) -> float:
    """Return the mean over images of the gap between mean probability and share of positives in the image's bin."""
    return float(_ece_of(_gaps(probabilities, positive, edges).sum(axis=0), len(positive)))


def reliability_bins(probabilities: Floats, positive: Bools, edges: Floats) -> tuple[ReliabilityBin, ...]:
    """Return the bins that hold images, in order."""
    place = _places(probabilities, edges)
    return tuple(
        ReliabilityBin(
            low=float(edges[index]),
            high=float(edges[index + 1]),
            n=int(inside.sum()),
            probability=float(probabilities[inside].mean()),
            observed=proportion(int(positive[inside].sum()), int(inside.sum())),
        )
        for index in range(len(edges) - 1)
        if (inside := place == index).any()
    )


def brier(
    probabilities: Floats,
    positive: Bools,
    patients: Sequence[str] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Estimate | None:
    """Return the mean squared distance of probability (n,) and class; None when a score lies outside 0 to 1.

    The interval is a percentile bootstrap over patients, or over images without `patients`.
    """
    if not len(probabilities) or probabilities.min() < 0 or probabilities.max() > 1:
        return None
    return bootstrap_mean((probabilities - positive) ** 2, patients, resamples=resamples, seed=seed)


def ece_interval(
    probabilities: Floats, positive: Bools, patients: Sequence[str], edges: Floats | None = None
) -> Estimate | None:
    """Return `ece` with its 95 % interval; bins of equal width unless `edges` are given."""
    edges = width_edges() if edges is None else edges
    gaps = np.concatenate([_gaps(probabilities, positive, edges), np.ones((len(positive), 1))], axis=1)
    drawn = resampled_sums(patient_sums(gaps, patients))
    return percentile_estimate(ece(probabilities, positive, edges), _ece_of(drawn[:, :-1], drawn[:, -1]), OVER_PATIENTS)


def _gaps(probabilities: Floats, positive: Bools, edges: Floats) -> Floats:
    """Each image's probability minus class in its bin's column, (n, bins)."""
    gaps = np.zeros((len(positive), len(edges) - 1))
    gaps[np.arange(len(positive)), _places(probabilities, edges)] = probabilities - positive
    return gaps


def _ece_of(sums: Floats, count: Floats | int) -> Floats:
    return np.abs(sums).sum(axis=-1) / count


def _places(probabilities: Floats, edges: Floats) -> NDArray[np.int64]:
    return np.clip(np.searchsorted(edges, probabilities, side="right") - 1, 0, len(edges) - 2)


def _if_perfect(probabilities: Floats, edges: Floats) -> float:
    random = np.random.default_rng(0)
    drawn = random.random((SIMULATIONS, len(probabilities))) < probabilities
    return float(np.mean([ece(probabilities, positive, edges) for positive in drawn]))
