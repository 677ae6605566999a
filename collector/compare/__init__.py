"""Compare: a reference and systems' calls come in; figures with intervals, and paired tests, go out. Pure.

It knows neither the store nor the web. Imported by imports, report, study and web.
"""

from collector.compare.table import METRICS, TESTED, Adjusted, Call, Comparison, Outcome, Pair, System, compare
from metrics.agreement import Reads, Reference, reference
from metrics.confusion import ConfusionMatrix
from metrics.estimates import Difference, Estimate

__all__ = [
    "METRICS",
    "TESTED",
    "Adjusted",
    "Call",
    "Comparison",
    "ConfusionMatrix",
    "Difference",
    "Estimate",
    "Outcome",
    "Pair",
    "Reads",
    "Reference",
    "System",
    "compare",
    "reference",
]
