"""Model tables: a run's summary, an audit and the manifest's metrics come in; tables of the model card go out."""

from __future__ import annotations

from collections.abc import Mapping

from device.bundle.manifest import Metric
from export.card.elements import figure, table
from export.int8.audit import Audit
from train.data.table import Table
from train.run.records import PartCounts
from train.run.report import MEAN, RunSummary

SHOWN = {
    "roc_auc": "ROC AUC",
    "sensitivity": "sensitivity of the network's own decision, without review",
    "specificity": "specificity of that decision",
    "accuracy": "accuracy of that decision",
    "precision": "precision of that decision",
    "f1": "F1 of that decision",
    "balanced_accuracy": "balanced accuracy of that decision (the study prints this as its AUC)",
    "sensitivity_at_flag": "sensitivity of the flag `pneumonia`",
    "specificity_at_flag": "specificity of the flag `pneumonia`",
    "sensitivity_at_clear": "sensitivity of not being `clear`",
    "specificity_at_clear": "specificity of not being `clear`: normal images that are `clear`",
}
SPREAD = {
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "roc_auc": "ROC AUC",
}


def figures_table(metrics: Mapping[str, Metric]) -> Table:
    """Return the manifest's own metrics."""
    lines = []
    for name, label in SHOWN.items():
        if metric := metrics.get(name):
            value, interval = "not defined", ""
            if metric.value is not None:
                value, interval = f"{metric.value:.4f}", f"{metric.low:.4f} to {metric.high:.4f}"
            lines.append((label, value, interval, metric.method))
    return table("", ("measure", "value", "95 % interval", "method"), lines)


def seeds_table(summary: RunSummary) -> Table:
    """Return the mean, the standard deviation and every seed's figures."""
    measures, averaged = summary.measures, summary.weight_average
    lines = [
        (
            label,
            figure(measures[name].mean),
            figure(measures[name].sd),
            *(figure(value) for value in measures[name].values),
            *([figure(averaged.measures[name])] if averaged else ()),
        )
        for name, label in SPREAD.items()
    ]
    return table(
        "",
        ("measure", "mean", "sd", *(f"seed {seed}" for seed in summary.seeds), *([MEAN] if averaged else ())),
        lines,
    )


def parts_table(parts: Mapping[str, PartCounts]) -> Table:
    """Return the images and patients of each part."""
    lines = [(part, str(n.normal), str(n.pneumonia), str(n.patients)) for part, n in parts.items()]
    return table("", ("part", "normal", "pneumonia", "patients"), lines)


def operators_table(audit: Audit) -> Table:
    """Return the network's operators in order."""
    lines = [
        (str(index), op.name, str(op.version), ", ".join(op.outputs), "; ".join(op.objections) or "none")
        for index, op in enumerate(audit.operators, 1)
    ]
    return table("Operators", ("", "operator", "version", "output", "objections"), lines)
