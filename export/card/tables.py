"""Card tables: figures of an evaluation come in; the tables of the model card that show them go out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
from export.evaluation.baseline import BaselineComparison, SystemFigures
from export.evaluation.occlusion import Occlusion
from export.evaluation.operating_curve import OperatingCurve
from export.evaluation.other_sources import Flags
from export.evaluation.published import Published
from export.evaluation.robustness import CLEAN
from export.evaluation.sampled_robustness import SampledRobustness
from metrics.calibration import Reliability
from metrics.evaluation import Evaluation
from metrics.subgroups import Separation, SubgroupRow
from train.augmentation.corruptions import STRENGTHS
from train.calibration.comparison import Calibrated
from train.data.table import Table

LABELS = {0: "normal", 1: "pneumonia"}
COUNTED = ("tn", "fp", "fn", "tp")
SIMPLE = ("sensitivity", "specificity", "accuracy")


def thresholds_table(curve: OperatingCurve) -> Table:
    """Return sensitivity and specificity at both thresholds in force."""
    lines = [
        (f"`{t.name}`", f"{t.threshold:.4f}", share(t.sensitivity), share(t.specificity), share(t.false_alarms))
        for t in (curve.clear_below, curve.flag_at)
    ]
    columns = (
        "threshold",
        "probability",
        "sensitivity: pneumonia images at or above it",
        "specificity: normal images below it",
        "normal images at or above it",
    )
    return table("Thresholds in force, on the test images", columns, lines)


def flags_table(title: str, flags: Flags) -> Table:
    """Return the number of images by flag and label."""
    return table(title, ("label", *(f"`{flag}`" for flag in flags), "images"), _flag_lines(flags))


def source_flags_table(name: str, by_source: Mapping[str, Flags]) -> Table:
    """Return the number of images by flag and label for every source."""
    lines = [(source, *line) for source, flags in by_source.items() for line in _flag_lines(flags)]
    flags = next(iter(by_source.values()))
    return table(f"Flags: {name}", ("source", "label", *(f"`{flag}`" for flag in flags), "images"), lines)


def _flag_lines(flags: Flags) -> list[tuple[str, ...]]:
    lines = []
    for label in LABELS.values():
        if of := sum(counts[label] for counts in flags.values()):
            cells = [f"{counts[label]} ({percent(counts[label] / of)})" for counts in flags.values()]
            lines.append((label, *cells, str(of)))
    return lines


def paired_table(comparison: BaselineComparison) -> Table:
    """Return the figures of both networks, and their difference with its interval and test."""
    model, baseline = comparison.model.figures, comparison.baseline.figures
    auc, test = comparison.auc, comparison.mcnemar
    gap, how = (NOTHING, "") if auc is None else (change(auc), f"DeLong, {p_value(auc.p)}")
    lines = [("ROC AUC", measure(model.roc_auc), measure(baseline.roc_auc), gap, how)]
    both = measure(model.balanced_accuracy), measure(baseline.balanced_accuracy)
    lines.append(("balanced accuracy", *both, change(comparison.balanced_accuracy), "bootstrap over patients"))
    lines += [(name, share(getattr(model, name)), share(getattr(baseline, name)), "", "") for name in SIMPLE]
    how = f"McNemar, {p_value(test.p_mid)} (mid-p), {p_value(test.p_exact)} (exact)"
    lines.append(
        ("correct where the other is wrong", f"{test.only_first} images", f"{test.only_second} images", "", how)
    )
    columns = ("measure", comparison.model.name, comparison.baseline.name, "first minus second", "paired test")
    return table("Both networks on the same images", columns, lines)


def counts_table(title: str, named: Sequence[tuple[str, Evaluation]]) -> Table:
    """Return confusion counts with their figures."""
    lines = [
        (
            name,
            *(str(getattr(figures, count)) for count in COUNTED),
            share(figures.sensitivity),
            share(figures.specificity),
            share(figures.accuracy),
            measure(figures.balanced_accuracy),
        )
        for name, figures in named
    ]
    columns = ("system", "TN", "FP", "FN", "TP", "sensitivity", "specificity", "accuracy", "balanced accuracy")
    return table(title, columns, lines)


def beside(systems: Sequence[SystemFigures], references: Sequence[Published]) -> list[tuple[str, Evaluation]]:
    """Return the systems and then the published ones; each name says which images they were measured on."""
    return [
        *((f"{system.name}, these images", system.figures) for system in systems),
        *((f"{reference.name}, the study's images", reference.figures) for reference in references),
    ]


def reliability_table(curve: Reliability) -> Table:
    """Return the calibration errors."""
    lines = [
        ("expected calibration error, 10 bins of equal width", measure(curve.ece)),
        ("the same, by chance, if calibration were perfect", figure(curve.ece_if_perfect)),
        ("expected calibration error, bins of equally many images", measure(curve.ece_equal_mass)),
        ("Brier score", measure(curve.brier)),
    ]
    return table("", ("measure", "value (95 % interval)"), lines)


def calibrations_table(rows: Sequence[Calibrated]) -> Table:
    """Return a line for every calibration method."""
    lines = [
        (f"{row.method}, in force" if row.in_force else row.method, measure(row.ece), measure(row.brier))
        for row in rows
    ]
    title = "Calibration methods, fitted on the images that chose the thresholds and measured on these"
    return table(title, ("calibration", "expected calibration error", "Brier score"), lines)


def groups_table(title: str, rows: Sequence[SubgroupRow]) -> Table:
    """Return a line per group; figures of too few images are left out."""
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
    """Return how well the score separates sources of the same label."""
    lines = [
        (LABELS[row.label], f"{row.first} ({row.n_first})", f"{row.second} ({row.n_second})", measure(row.auc))
        for row in rows
    ]
    title = "Does the score separate sources of the same label? 0.5: not at all"
    return table(title, ("label", "first source", "second source", "AUC of second against first"), lines)


def robustness_table(sample: SampledRobustness) -> Table:
    """Return a line per corruption and strength."""
    refusing = any(row.refused is not None for row in sample.rows)
    columns = ("corruption", "strength", "ROC AUC", "change", "sensitivity", "specificity", "changed decisions")
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
        for row in sample.rows
    ]
    title = f"Twelve corruptions at strengths {STRENGTHS[0]} to {STRENGTHS[-1]}"
    return table(title, (*columns, *(("refused",) if refusing else ())), lines)


def occlusion_table(result: Occlusion) -> Table:
    """Return the mean drops of the logit."""
    lines = [
        ("brightest tenth of the evidence map hidden", change(result.brightest, 2)),
        ("the same area elsewhere in the image hidden", change(result.elsewhere, 2)),
        ("difference, paired", change(result.difference, 2)),
    ]
    return table("", ("hidden area", "mean drop of the score's logit (95 % interval)"), lines)
