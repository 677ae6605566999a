"""The two types that every statistic of the project comes in: an estimate, and a difference of two estimates.

An undefined figure is None and never an object without numbers: sensitivity without a positive case, precision without
a positive call, ROC AUC with one class only. JSON has null there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


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
    p: float | None
    test: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its 95 % interval and the method of the interval; `low` <= `value` <= `high`."""

    value: float
    low: float
    high: float
    method: str

    def to_dict(self) -> EstimateJson:
        """Return the estimate as JSON types."""
        return {"value": self.value, "low": self.low, "high": self.high, "method": self.method}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """First system minus second on the same cases, with its 95 % interval.

    `p` is the two-sided p-value of no difference, or None where `test` gives an interval only.
    """

    value: float
    low: float
    high: float
    p: float | None
    test: str

    def to_dict(self) -> DifferenceJson:
        """Return the difference as JSON types."""
        return {"diff": self.value, "low": self.low, "high": self.high, "p": self.p, "test": self.test}
