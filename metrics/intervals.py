"""Confidence intervals: Wilson's for proportions, MOVER for functions of two proportions, and the bootstrap by patient.

Sources: Wilson (1927, JASA 22:209); square-and-add, also called MOVER (Newcombe 1998, Stat Med 17:873; Zou and Donner
2008, Stat Med 27:1693); the percentile bootstrap (Efron and Tibshirani 1993, chapter 13) over whole patients (Field and
Welsh 2007, J R Stat Soc B 69:369), because the images of one patient are alike.

`scipy.stats.bootstrap` draws cases, not patients, and knows no ratio of two sums, so the drawing is written here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.proportion import proportion_confint

from metrics.estimates import Estimate, Floats

ALPHA = 0.05
WILSON = "wilson"
RESAMPLES = 2000
SEED = 20_240_417
OVER_PATIENTS = f"percentile bootstrap over patients, {RESAMPLES} resamples, seed {SEED}"
_CHUNK = 4_000_000
"""Draws held in memory at once."""


def wilson_bounds(count: float, total: int) -> tuple[float, float]:
    """Return the Wilson score interval of `count` in `total` (above 0), held to contain the share despite rounding."""
    low, high = proportion_confint(count, total, alpha=ALPHA, method="wilson")
    return max(0.0, min(float(low), count / total)), min(1.0, max(float(high), count / total))


def proportion(count: int, total: int) -> Estimate | None:
    """Return the share of `count` in `total` with the Wilson interval; None for 0 of 0."""
    if total == 0:
        return None
    low, high = wilson_bounds(count, total)
    return Estimate(value=count / total, low=low, high=high, method=WILSON)


def square_and_add(
    figure: Callable[[float, float], float],
    first: tuple[int, int],
    second: tuple[int, int],
    *,
    floor: float,
) -> Estimate:
    """Return `figure` of two independent proportions, each (count, total), in the range `floor` to 1.

    `figure` must rise with both. Each Wilson bound moves it by some distance; the distances add as squares (MOVER).
    """
    a, b = first[0] / first[1], second[0] / second[1]
    value = figure(a, b)
    below, above = (
        math.hypot(value - figure(bound_a, b), value - figure(a, bound_b))
        for bound_a, bound_b in zip(wilson_bounds(*first), wilson_bounds(*second), strict=True)
    )
    low, high = max(floor, value - below), min(1.0, value + above)
    return Estimate(value=value, low=low, high=high, method="square-and-add of wilson (MOVER)")


def patient_sums(values: Floats, patients: Sequence[str]) -> Floats:
    """Add up `values` (n,) or (n, k) of images for each patient: float64 (patients, k), in order of appearance."""
    _, first, index = np.unique(np.array(patients), return_index=True, return_inverse=True)
    place = np.argsort(np.argsort(first))[index]
    columns = values.reshape(len(index), -1)
    sums = np.zeros((len(first), columns.shape[1]))
    np.add.at(sums, place, columns)
    return sums


def patient_draws(count: int, *, resamples: int = RESAMPLES, seed: int = SEED) -> Iterator[NDArray[np.int64]]:
    """Yield blocks int64 (rows, count) of patients drawn with replacement, `resamples` rows in all."""
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK // count)
    for start in range(0, resamples, step):
        yield generator.integers(0, count, (min(step, resamples - start), count))


def resampled_sums(sums: Floats) -> Floats:
    """Return the sums over patients drawn with replacement: (patients, k) to (RESAMPLES, k)."""
    count = len(sums)
    blocks = []
    for drawn in patient_draws(count):
        rows = np.arange(len(drawn))[:, None] * count
        times = np.bincount((drawn + rows).ravel(), minlength=drawn.size).reshape(drawn.shape)
        blocks.append(times @ sums)
    return np.concatenate(blocks)


def percentile_estimate(value: float, resampled: Floats, method: str) -> Estimate | None:
    """Return `value` with the middle 95 % of `resampled` (r,), NaN left out, stretched to hold it; None for NaN."""
    if not np.isfinite(value):
        return None
    low, high = (float(bound) for bound in np.nanquantile(resampled, [ALPHA / 2, 1 - ALPHA / 2]))
    return Estimate(value=float(value), low=min(low, value), high=max(high, value), method=method)


def bootstrap_mean(
    values: Floats, patients: Sequence[str] | None = None, *, resamples: int = RESAMPLES, seed: int = SEED
) -> Estimate | None:
    """Return the mean of `values` (n,) with its percentile bootstrap interval; None for no values.

    `patients` (n,) are drawn whole; None: every value is drawn for itself. Both agree where no patient has two values.
    """
    if not len(values):
        return None
    value, ones = float(values.mean()), np.ones(len(values))
    if patients is None:
        sums, sizes, method = values, ones, f"percentile bootstrap, {resamples} resamples, seed {seed}"
    else:
        sums, sizes = patient_sums(np.stack([values, ones], axis=1), patients).T
        method = f"percentile bootstrap over patients, {resamples} resamples, seed {seed}"
    blocks = patient_draws(len(sums), resamples=resamples, seed=seed)
    means = [sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1) for drawn in blocks]
    return percentile_estimate(value, np.concatenate(means), method)
