"""Compare: a reference and systems' calls come in; figures with intervals, and paired tests, go out. Pure.

It knows neither the store nor the web. Imported by imports, report, study and web.
"""

from collector.compare.table import METRICS, TESTED, Adjusted, Comparison, Outcome, Pair, compare
from metrics.agreement import Reads, Reference, reference
from metrics.values import Call, Difference, Estimate, Matrix, System

__all__ = [
    "METRICS",
    "TESTED",
    "Adjusted",
    "Call",
    "Comparison",
    "Difference",
    "Estimate",
    "Matrix",
    "Outcome",
    "Pair",
    "Reads",
    "Reference",
    "System",
    "compare",
    "reference",
]
