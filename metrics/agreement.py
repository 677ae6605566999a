"""Readers: several readers' labels by case come in; the majority, the ties and the readers' agreement go out.

Fleiss (1971, Psychol Bull 76:378) for kappa over cases read by the same number of readers; Cohen for each
pair of readers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from metrics.paired import kappa

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
    """What the readers make together. A tie is no reference."""

    labels: Mapping[str, bool]
    readers: tuple[str, ...]
    ties: tuple[str, ...]
    disagreements: tuple[str, ...]
    fleiss_kappa: float | None
    fleiss_cases: int
    pairs: tuple[Agreement, ...]

    @property
    def positives(self) -> int:
        """Cases with pneumonia by the majority."""
        return sum(self.labels.values())


def reference(reads: Reads) -> Reference:
    """Majority by case. `disagreements` lists every case on which readers differed, ties included."""
    labels: dict[str, bool] = {}
    ties, split = [], []
    for case, by_reader in reads.items():
        positive, total = sum(by_reader.values()), len(by_reader)
        if 0 < positive < total:
            split.append(case)
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
        disagreements=tuple(split),
        fleiss_kappa=kappa_all,
        fleiss_cases=cases,
        pairs=tuple(_agreement(reads, a, b) for a, b in combinations(readers, 2)),
    )


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
    pairs = counts * (counts - 1) + (raters - counts) * (raters - counts - 1)
    observed = float(pairs.mean()) / (raters * (raters - 1))
    found = None if by_chance >= 1.0 else float((observed - by_chance) / (1 - by_chance))
    return found, len(counts)
