"""Card tables: figures of an evaluation come in; the tables of a model card go out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from export.card.elements import (
    NOTHING,
    change,
    figure,
    measure,
    p_value,
    percent,
    share,
    table,
)
from export.evaluation.baseline import Side, Versus
from export.evaluation.occlusion import Occlusion
from export.evaluation.operating_curve import OperatingCurve
from export.evaluation.published import Published
from export.evaluation.robustness import CLEAN
from export.evaluation.sampled_robustness import Stress
from export.int8.audit import Audit
from metrics.calibration import Reliability
from metrics.evaluation import Evaluation
from metrics.subgroups import Separation, SubgroupRow
from train.augmentation.corruptions import STRENGTHS
from train.calibration.comparison import Calibrated
from train.data.table import Table
from train.run.report import MEAN

SHOWN = {
    "roc_auc": "ROC AUC",
    "sensitivity": "sensitivity, decided at probability 0.5 of the network itself",
    "specificity": "specificity, the same",
    "accuracy": "accuracy, the same",
    "precision": "precision, the same",
    "f1": "F1, the same",
    "balanced_accuracy": "balanced accuracy, the same (the study prints this as its AUC)",
    "sensitivity_at_flag": "sensitivity of the flag `pneumonia`",
    "specificity_at_flag": "specificity of the flag `pneumonia`",
    "sensitivity_at_clear": "sensitivity of not being `clear`",
    "specificity_at_clear": "specificity: normal films that are `clear`",
}
Flags = Mapping[str, Mapping[str, int]]
LABELS = {0: "normal", 1: "pneumonia"}
COUNTED = ("tn", "fp", "fn", "tp")
SPREAD = {
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "roc_auc": "ROC AUC",
}


def figures_table(metrics: Mapping[str, Any]) -> Table:
    """The manifest's own."""
    lines = [_metric(words, metrics[name]) for name, words in SHOWN.items() if name in metrics]
    return table("", ("measure", "value", "95 % interval", "method"), lines)


def _metric(words: str, metric: Mapping[str, Any]) -> tuple[str, ...]:
    if metric["value"] is None:
        return words, "not defined", "", metric["method"]
    return words, f"{metric['value']:.4f}", f"{metric['low']:.4f} to {metric['high']:.4f}", metric["method"]


def thresholds_table(curve: OperatingCurve) -> Table:
    """What both thresholds in force give."""
    lines = [
        (f"`{t.name}`", f"{t.threshold:.4f}", share(t.sensitivity), share(t.specificity), share(t.false_alarms))
        for t in (curve.clear_below, curve.flag_at)
    ]
    columns = (
        "threshold",
        "probability",
        "pneumonia films from it up",
        "normal films below",
        "normal films from it up",
    )
    return table("Thresholds in force, on the test films", columns, lines)


def flags_table(title: str, flags: Flags) -> Table:
    """Films by flag and label."""
    return table(title, ("label", *(f"`{flag}`" for flag in flags), "films"), _flag_lines(flags))


def source_flags_table(name: str, by_source: Mapping[str, Flags]) -> Table:
    """The same of every source."""
    lines = [(source, *line) for source, flags in by_source.items() for line in _flag_lines(flags)]
    flags = next(iter(by_source.values()))
    return table(f"Flags: {name}", ("source", "label", *(f"`{flag}`" for flag in flags), "films"), lines)


def _flag_lines(flags: Flags) -> list[tuple[str, ...]]:
    lines = []
    for label in LABELS.values():
        if of := sum(counts[label] for counts in flags.values()):
            cells = [f"{counts[label]} ({percent(counts[label] / of)})" for counts in flags.values()]
            lines.append((label, *cells, str(of)))
    return lines


def paired_table(found: Versus) -> Table:
    """Both networks, and their difference with its interval and test."""
    ours, theirs, auc, test = found.ours.figures, found.theirs.figures, found.auc, found.mcnemar
    gap, how = (NOTHING, "") if auc is None else (change(auc), f"DeLong, {p_value(auc.p)}")
    lines = [("ROC AUC", measure(ours.roc_auc), measure(theirs.roc_auc), gap, how)]
    both = measure(ours.balanced_accuracy), measure(theirs.balanced_accuracy)
    lines.append(("balanced accuracy", *both, change(found.balanced_accuracy), "bootstrap over patients"))
    lines += [(name, share(getattr(ours, name)), share(getattr(theirs, name)), "", "") for name in SIMPLE]
    how = f"McNemar, {p_value(test.p_mid)} (mid-p), {p_value(test.p_exact)} (exact)"
    lines.append(("right where the other is wrong", f"{test.only_first} films", f"{test.only_second} films", "", how))
    columns = ("measure", found.ours.name, found.theirs.name, "first minus second", "paired test")
    return table("Both on the same films", columns, lines)


SIMPLE = ("sensitivity", "specificity", "accuracy")


def counts_table(title: str, named: Sequence[tuple[str, Evaluation]]) -> Table:
    """Confusion counts with their figures."""
    lines = [
        (
            name,
            *(str(getattr(found, count)) for count in COUNTED),
            share(found.sensitivity),
            share(found.specificity),
            share(found.accuracy),
            measure(found.balanced_accuracy),
        )
        for name, found in named
    ]
    columns = ("system", "TN", "FP", "FN", "TP", "sensitivity", "specificity", "accuracy", "balanced accuracy")
    return table(title, columns, lines)


def beside(sides: Sequence[Side], references: Sequence[Published]) -> list[tuple[str, Evaluation]]:
    """Ours and then the published ones, named as of which films."""
    return [
        *((f"{side.name}, these films", side.figures) for side in sides),
        *((f"{shown.name}, the study's films", shown.figures) for shown in references),
    ]


def reliability_table(found: Reliability) -> Table:
    """Errors of calibration."""
    lines = [
        ("expected calibration error, 10 bins of equal width", measure(found.ece)),
        ("the same of so many films if every probability were true", figure(found.ece_if_perfect)),
        ("expected calibration error, bins of equally many films", measure(found.ece_equal_mass)),
        ("Brier score", measure(found.brier)),
    ]
    return table("", ("measure", "value (95 % interval)"), lines)


def calibrations_table(rows: Sequence[Calibrated]) -> Table:
    """A line for every way of making probabilities of scores."""
    lines = [
        (f"{row.method}, in force" if row.in_force else row.method, measure(row.ece), measure(row.brier))
        for row in rows
    ]
    title = "Ways of making probabilities, fitted on the films that chose the thresholds, judged on these"
    return table(title, ("calibration", "expected calibration error", "Brier score"), lines)


def groups_table(title: str, rows: Sequence[SubgroupRow]) -> Table:
    """A line a group; what rests on too few films is not stated."""
    refusing = any(row.refused is not None for row in rows)
    columns = ("group", "normal", "pneumonia", "sensitivity", "specificity", "ROC AUC", "ECE", "Brier")
    lines = [
        (
            row.value if row.field == "all" else f"{row.field}: {row.value}",
            str(row.normal),
            str(row.pneumonia),
            share(row.sensitivity),
            share(row.specificity),
            measure(row.roc_auc),
            figure(row.ece),
            figure(row.brier),
            *((share(row.refused),) if refusing else ()),
            row.note,
        )
        for row in rows
    ]
    return table(title, (*columns, *(("refused",) if refusing else ()), "note"), lines)


def separation_table(rows: Sequence[Separation]) -> Table:
    """How well the score tells sources of one label apart."""
    lines = [
        (LABELS[row.label], f"{row.first} ({row.n_first})", f"{row.second} ({row.n_second})", measure(row.auc))
        for row in rows
    ]
    title = "Does the score tell sources apart? 0.5: not at all"
    return table(title, ("label of all", "first source", "second source", "AUC of the second"), lines)


def stress_table(found: Stress) -> Table:
    """A line a corruption and strength."""
    refusing = any(row.refused is not None for row in found.rows)
    columns = ("corruption", "strength", "ROC AUC", "change", "sensitivity", "specificity", "calls that change")
    lines = [
        (
            "none" if row.corruption == CLEAN else row.corruption,
            str(row.strength) if row.strength else NOTHING,
            figure(row.roc_auc),
            change(row.auc_change) if row.strength else NOTHING,
            percent(row.sensitivity),
            percent(row.specificity),
            share(row.flips) if row.strength else NOTHING,
            *((share(row.refused),) if refusing else ()),
        )
        for row in found.rows
    ]
    title = f"Twelve corruptions at strengths {STRENGTHS[0]} to {STRENGTHS[-1]}"
    return table(title, (*columns, *(("refused",) if refusing else ())), lines)


def occlusion_table(found: Occlusion) -> Table:
    """Mean drops of the logit."""
    lines = [
        ("the brightest tenth of the evidence map hidden", change(found.brightest, 2)),
        ("as much, elsewhere in the film, hidden", change(found.elsewhere, 2)),
        ("difference, paired", change(found.difference, 2)),
    ]
    return table("", ("what", "mean drop of the score's logit (95 % interval)"), lines)


def seeds_table(seeds: Mapping[str, Any]) -> Table:
    """Mean, spread and every seed."""
    measures, averaged = seeds["measures"], seeds["weight_average"]
    lines = [
        (
            words,
            figure(measures[name]["mean"]),
            figure(measures[name]["sd"]),
            *(figure(value) for value in measures[name]["values"]),
            *([figure(averaged["measures"][name])] if averaged else ()),
        )
        for name, words in SPREAD.items()
    ]
    return table(
        "",
        ("measure", "mean", "sd", *(f"seed {seed}" for seed in seeds["seeds"]), *([MEAN] if averaged else ())),
        lines,
    )


def parts_table(parts: Mapping[str, Mapping[str, int]]) -> Table:
    """Films and patients of each part."""
    lines = [(part, *(str(n[name]) for name in ("normal", "pneumonia", "patients"))) for part, n in parts.items()]
    return table("", ("part", "normal", "pneumonia", "patients"), lines)


def operators_table(audit: Audit) -> Table:
    """The network's operators in order."""
    lines = [
        (str(index), op.name, str(op.version), ", ".join(op.outputs), "; ".join(op.objections) or "none")
        for index, op in enumerate(audit.operators, 1)
    ]
    return table("Operators", ("", "operator", "version", "gives", "objections"), lines)
