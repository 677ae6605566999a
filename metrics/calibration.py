"""Reliability: probabilities and labels come in; how far the probabilities may be believed goes out.

Expected calibration error (Naeini et al. 2015), Brier score (1950) and the bins of the reliability diagram.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrics.film_intervals import (
    Floats,
    Interval,
    Labels,
    patient_sums,
    percentile_interval,
    resampled_sums,
    wilson,
)

BINS = 10
METHOD = "bootstrap over patients"
SIMULATIONS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Films whose probability is in [low, high): their number, mean probability and share of pneumonia."""

    low: float
    high: float
    n: int
    probability: float
    observed: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Of n films. `ece` has bins of equal width, `ece_equal_mass` of equal numbers of films.

    `ece_if_perfect` is the mean `ece` that so many films show by chance alone if every probability were true: only
    what exceeds it is an error of calibration.
    """

    n: int
    prevalence: float
    bins: tuple[Bin, ...]
    ece: Interval
    ece_equal_mass: Interval
    ece_if_perfect: float
    brier: Interval


def reliability(probabilities: Floats, labels: Labels, patients: Sequence[str]) -> Reliability:
    """Of `probabilities` (n,) with labels 0 or 1, n at least 1; only bins that hold films."""
    width, mass = width_edges(), mass_edges(probabilities)
    return Reliability(
        n=len(labels),
        prevalence=float(labels.mean()),
        bins=bins(probabilities, labels, width),
        ece=ece_interval(probabilities, labels, patients, width),
        ece_equal_mass=ece_interval(probabilities, labels, patients, mass),
        ece_if_perfect=_if_perfect(probabilities, width),
        brier=brier(probabilities, labels, patients),
    )


def width_edges(count: int = BINS) -> Floats:
    """Edges (count + 1,) of bins of equal width over 0 to 1."""
    return np.linspace(0, 1, count + 1)


def mass_edges(probabilities: Floats, count: int = BINS) -> Floats:
    """Edges of at most `count` bins that hold equally many films; equal probabilities stay together."""
    inner = np.unique(np.quantile(probabilities, np.linspace(0, 1, count + 1)[1:-1], method="higher"))
    return np.concatenate([[0.0], inner[inner > 0], [1.0]])


def ece(probabilities: Floats, labels: Labels, edges: Floats) -> float:
    """Mean over films of the gap between mean probability and share of pneumonia in the film's bin."""
    return float(_ece_of(_gaps(probabilities, labels, edges).sum(axis=0), len(labels)))


def bins(probabilities: Floats, labels: Labels, edges: Floats) -> tuple[Bin, ...]:
    """The bins that hold films, in order."""
    place = _places(probabilities, edges)
    return tuple(
        Bin(
            low=float(edges[index]), high=float(edges[index + 1]), n=int(inside.sum()),
            probability=float(probabilities[inside].mean()),
            observed=wilson(int(labels[inside].sum()), int(inside.sum())),
        )
        for index in range(len(edges) - 1)
        if (inside := place == index).any()
    )  # fmt: skip


def brier(probabilities: Floats, labels: Labels, patients: Sequence[str]) -> Interval:
    """Mean squared distance of probability and label."""
    losses = np.stack([(probabilities - labels) ** 2, np.ones(len(labels))], axis=1)
    drawn = resampled_sums(patient_sums(losses, patients))
    return percentile_interval(float(losses[:, 0].mean()), drawn[:, 0] / drawn[:, 1], METHOD)


def ece_interval(
    probabilities: Floats, labels: Labels, patients: Sequence[str], edges: Floats | None = None
) -> Interval:
    """`ece` with its 95 % interval; bins of equal width unless `edges` says otherwise."""
    edges = width_edges() if edges is None else edges
    gaps = np.concatenate([_gaps(probabilities, labels, edges), np.ones((len(labels), 1))], axis=1)
    drawn = resampled_sums(patient_sums(gaps, patients))
    return percentile_interval(ece(probabilities, labels, edges), _ece_of(drawn[:, :-1], drawn[:, -1]), METHOD)


def _gaps(probabilities: Floats, labels: Labels, edges: Floats) -> Floats:
    """Each film's probability minus label in its bin's column, (n, bins)."""
    gaps = np.zeros((len(labels), len(edges) - 1))
    gaps[np.arange(len(labels)), _places(probabilities, edges)] = probabilities - labels
    return gaps


def _ece_of(sums: Floats, count: Floats | int) -> Floats:
    return np.abs(sums).sum(axis=-1) / count


def _places(probabilities: Floats, edges: Floats) -> NDArray[np.int64]:
    return np.clip(np.searchsorted(edges, probabilities, side="right") - 1, 0, len(edges) - 2)


def _if_perfect(probabilities: Floats, edges: Floats) -> float:
    random = np.random.default_rng(0)
    drawn = (random.random((SIMULATIONS, len(probabilities))) < probabilities).astype(np.int64)
    return float(np.mean([ece(probabilities, labels, edges) for labels in drawn]))
