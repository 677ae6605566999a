"""Paired: two systems' outcomes on the same cases come in; difference, interval, exact p and agreement go out.

Sources: McNemar's exact test (binomial on the discordant pairs); Newcombe (1998, Stat Med 17:2635) method 10 for the
interval of a paired difference of proportions; Cohen (1960, Educ Psychol Meas 20:37) for kappa; Holm (1979, Scand J
Stat 6:65).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.contingency_tables import mcnemar

from metrics.intervals import wilson_bounds
from metrics.values import Difference

Bools = NDArray[np.bool_]
TEST = "mcnemar exact; newcombe 10"


def difference(a: Bools, b: Bools) -> Difference | None:
    """Share of `a` minus share of `b` over the same cases; None for no cases."""
    if not len(a):
        return None
    both, only_a = int((a & b).sum()), int((a & ~b).sum())
    only_b, neither = int((~a & b).sum()), int((~a & ~b).sum())
    low, high = newcombe10(both, only_a, only_b, neither)
    p = float(mcnemar([[both, only_a], [only_b, neither]], exact=True).pvalue)
    return Difference(diff=(only_a - only_b) / len(a), low=low, high=high, p=min(1.0, p), test=TEST)


def newcombe10(both: int, only_a: int, only_b: int, neither: int) -> tuple[float, float]:
    """Interval of the difference of two paired proportions: Wilson bounds, squared and added with their correlation."""
    n = both + only_a + only_b + neither
    first, second = (both + only_a) / n, (both + only_b) / n
    (low_1, high_1), (low_2, high_2) = wilson_bounds(both + only_a, n), wilson_bounds(both + only_b, n)
    phi = _corrected_phi(both, only_a, only_b, neither)
    below = _reach(first - low_1, high_2 - second, phi)
    above = _reach(high_1 - first, second - low_2, phi)
    diff = first - second
    return max(-1.0, diff - below), min(1.0, diff + above)


def _reach(x: float, y: float, phi: float) -> float:
    return math.sqrt(max(0.0, x * x - 2 * phi * x * y + y * y))


def _corrected_phi(both: int, only_a: int, only_b: int, neither: int) -> float:
    """Newcombe's continuity-corrected correlation of the two outcomes; 0 when a margin is 0."""
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    if margins == 0:
        return 0.0
    cross = both * neither - only_a * only_b
    half = (both + only_a + only_b + neither) / 2
    return (max(cross - half, 0.0) if cross > 0 else cross) / math.sqrt(margins)


def kappa(a: Bools, b: Bools) -> float | None:
    """Cohen's kappa of two raters; None when chance alone makes them agree always."""
    if not len(a):
        return None
    share_a, share_b = float(a.mean()), float(b.mean())
    by_chance = share_a * share_b + (1 - share_a) * (1 - share_b)
    return None if by_chance >= 1.0 else (float((a == b).mean()) - by_chance) / (1 - by_chance)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p, in the order given."""
    adjusted, worst = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = worst
    return adjusted
