"""Metrics of the manifest: decisions at each threshold come in; the manifest's metrics, by name, go out.

Needs no TensorFlow, so that a site can set thresholds without it.
"""

from __future__ import annotations

from collections.abc import Mapping

from device.bundle.manifest import Metric
from metrics.estimates import Bools, Estimate, Floats
from metrics.evaluation import MEASURES, Evaluation, evaluate

UNDEFINED = Metric(value=None, method="undefined")


def metrics_at_thresholds(positive: Bools, logits: Floats, decisions: Mapping[str, Bools]) -> dict[str, Metric]:
    """Return the metrics of `decisions` (n,) by the suffix of their threshold: "", "_at_flag" or "_at_clear"."""
    metrics: dict[str, Metric] = {}
    for suffix, decided in decisions.items():
        metrics |= manifest_metrics(evaluate(positive, logits, decided), suffix)
    return metrics


def manifest_metrics(evaluation: Evaluation, suffix: str) -> dict[str, Metric]:
    """Return the metrics of `evaluation`; `suffix` ("", "_at_flag" or "_at_clear") says at which threshold.

    The ROC AUC depends on no threshold, so it appears once, without suffix.
    """
    metrics = {}
    for name in MEASURES:
        if suffix and name == "roc_auc":
            continue
        estimate: Estimate | None = getattr(evaluation, name)
        metrics[f"{name}{suffix}"] = UNDEFINED if estimate is None else Metric(**estimate.to_dict())
    return metrics
