"""Agreement: several readers' labels by case, their majority, their ties, and how well they agree.

Sources: Cohen (1960, Educ Psychol Meas 20:37) for kappa of two raters; Fleiss (1971, Psychol Bull 76:378) for kappa
over cases read by the same number of readers. `statsmodels` has both, but gives NaN where kappa is undefined and
-2e-16, printed as -0.0000, where it is 0. Tests hold that they agree elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from metrics.estimates import Bools

Reads = Mapping[str, Mapping[str, bool]]
"""Case to reader to label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Cohen's kappa of two readers over the cases both read; None where undefined."""

    a: str
    b: str
    cases: int
    kappa: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The readers' majority by case. A tie is no reference; `disagreements` holds ties too."""

    labels: Mapping[str, bool]
    readers: tuple[str, ...]
    ties: tuple[str, ...]
    disagreements: tuple[str, ...]
    fleiss_kappa: float | None
    fleiss_cases: int
    pairs: tuple[Agreement, ...]

    @property
    def positives(self) -> int:
        """Cases that are positive by the majority."""
        return sum(self.labels.values())


def reference(reads: Reads) -> Reference:
    """Return the majority by case, every case on which readers differed, and the readers' agreement."""
    labels: dict[str, bool] = {}
    ties, disagreements = [], []
    for case, by_reader in reads.items():
        positive, total = sum(by_reader.values()), len(by_reader)
        if 0 < positive < total:
            disagreements.append(case)
        if 2 * positive == total:
            ties.append(case)
        else:
            labels[case] = 2 * positive > total
    readers = tuple(sorted({reader for by_reader in reads.values() for reader in by_reader}))
    kappa_all, cases = _fleiss(reads)
    return Reference(
        labels=labels,
        readers=readers,
        ties=tuple(ties),
        disagreements=tuple(disagreements),
        fleiss_kappa=kappa_all,
        fleiss_cases=cases,
        pairs=tuple(_agreement(reads, a, b) for a, b in combinations(readers, 2)),
    )


def kappa(first: Bools, second: Bools) -> float | None:
    """Return Cohen's kappa of two raters' calls (n,); None for no cases and where chance alone makes them agree."""
    if not len(first):
        return None
    share_1, share_2 = float(first.mean()), float(second.mean())
    by_chance = share_1 * share_2 + (1 - share_1) * (1 - share_2)
    return None if by_chance >= 1.0 else (float((first == second).mean()) - by_chance) / (1 - by_chance)


def _agreement(reads: Reads, a: str, b: str) -> Agreement:
    common = [by_reader for by_reader in reads.values() if a in by_reader and b in by_reader]
    first, second = (np.array([by_reader[name] for by_reader in common], dtype=bool) for name in (a, b))
    return Agreement(a=a, b=b, cases=len(common), kappa=kappa(first, second))


def _fleiss(reads: Reads) -> tuple[float | None, int]:
    """Over the cases with the most frequent number of readers (at least two), and how many cases those are."""
    sizes = Counter(len(by_reader) for by_reader in reads.values() if len(by_reader) > 1)
    if not sizes:
        return None, 0
    raters = max(sizes, key=lambda size: (sizes[size], size))
    counts = np.array([sum(r.values()) for r in reads.values() if len(r) == raters], dtype=float)
    share = counts.mean() / raters
    by_chance = share**2 + (1 - share) ** 2
    if by_chance >= 1.0:
        return None, len(counts)
    pairs = counts * (counts - 1) + (raters - counts) * (raters - counts - 1)
    observed = float(pairs.mean()) / (raters * (raters - 1))
    return float((observed - by_chance) / (1 - by_chance)), len(counts)
