"""Values of the comparison: what comes in (calls and a reference) and what goes out (estimates), frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict


class EstimateJson(TypedDict):
    """An estimate as JSON."""

    value: float
    low: float
    high: float
    method: str


class DifferenceJson(TypedDict):
    """A paired difference as JSON."""

    diff: float
    low: float
    high: float
    p: float
    test: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a system said of one case. `score` rises with suspicion; it need not be a probability."""

    positive: bool
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One system's calls by case. `excluded` says which cases it did not call, by reason."""

    name: str
    calls: Mapping[str, Call]
    excluded: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its 95 % interval and the method of the interval."""

    value: float
    low: float
    high: float
    method: str

    def to_dict(self) -> EstimateJson:
        """The object as JSON types."""
        return {"value": self.value, "low": self.low, "high": self.high, "method": self.method}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """First system minus second on the same cases, with its 95 % interval and the p of no difference."""

    diff: float
    low: float
    high: float
    p: float
    test: str

    def to_dict(self) -> DifferenceJson:
        """The object as JSON types."""
        return {"diff": self.diff, "low": self.low, "high": self.high, "p": self.p, "test": self.test}


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """A confusion matrix: counts of cases."""

    tn: int
    fp: int
    fn: int
    tp: int

    @property
    def n(self) -> int:
        """All cases."""
        return self.tn + self.fp + self.fn + self.tp

    @property
    def positives(self) -> int:
        """Cases with pneumonia by the reference."""
        return self.tp + self.fn

    @property
    def negatives(self) -> int:
        """Cases without."""
        return self.tn + self.fp
