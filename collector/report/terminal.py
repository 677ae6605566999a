"""Terminal: a study and its comparison come in; tables for a terminal go out."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from collector.compare import Comparison, Difference, Estimate
from collector.labels import NAMES, NOT_FOR, REASONS, p_text
from collector.study.study import Study


def show(study: Study, comparison: Comparison, console: Console) -> None:
    """Print matrices, figures with intervals, pairs, what was left out and why, and the intended use."""
    console.print(_matrices(comparison))
    console.print(_figures(comparison))
    if comparison.pairs:
        console.print(_pairs(comparison))
    for line in [*_reader_lines(study), *excluded_lines(study), *counting_lines(study), *study.notes]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(NOT_FOR, style="bold", soft_wrap=True)


def cell(estimate: Estimate | None) -> str:
    """Return `0.8192 (0.7842 to 0.8496)`, or a dash."""
    if estimate is None:
        return "\u2013"
    return f"{estimate.value:.4f} ({estimate.low:.4f} to {estimate.high:.4f})"


def difference_cell(difference: Difference | None) -> str:
    """Return `+0.0533 (+0.0290 to +0.0853) p <0.0001`, or a dash."""
    if difference is None:
        return "\u2013"
    d = difference
    p = "\u2013" if d.p is None else p_text(d.p)
    return f"{d.value:+.4f} ({d.low:+.4f} to {d.high:+.4f}) p {p}"


def excluded_lines(study: Study) -> list[str]:
    """Return a line per system: how many cases its figures leave out, and why."""
    lines = []
    for system in study.systems:
        counts = [f"{REASONS.get(reason, reason)} {len(cases)}" for reason, cases in system.excluded.items() if cases]
        lines.append(f"{system.name}, left out: {', '.join(counts) if counts else 'nothing'}.")
    if study.unread:
        lines.append(f"{study.unread} exposures in the store have no read yet.")
    return lines


def counting_lines(study: Study) -> list[str]:
    """Return how calls were made from flags and scores, a line each."""
    return [f"{name}: {rule}." for name, rule in study.counting.items()]


def _matrices(comparison: Comparison) -> Table:
    table = Table(title="Cases")
    table.add_column("system")
    for name in ("n", "TN", "FP", "FN", "TP"):
        table.add_column(name, justify="right")
    for o in comparison.systems:
        m = o.matrix
        table.add_row(o.name, *(str(v) for v in (m.n, m.tn, m.fp, m.fn, m.tp)))
    return table


def _figures(comparison: Comparison) -> Table:
    table = Table(title="Figures (95 % interval)")
    table.add_column("", no_wrap=True)
    for outcome in comparison.systems:
        table.add_column(outcome.name, justify="right")
    for name, label in NAMES.items():
        table.add_row(label, *(cell(outcome.metrics[name]) for outcome in comparison.systems))
    return table


def _pairs(comparison: Comparison) -> Table:
    table = Table(title="Differences on the same cases, first minus second (95 % interval, p, p after Holm)")
    for name in ("pair", "figure", "difference"):
        table.add_column(name)
    table.add_column("Holm", justify="right")
    adjusted = {(x.a, x.b, x.metric): x.p for x in comparison.adjusted()}
    for pair in comparison.pairs:
        agreement = "\u2013" if pair.kappa is None else f"{pair.kappa:.4f}"
        for metric, difference in pair.differences.items():
            holm = adjusted.get((pair.a, pair.b, metric))
            names = (f"{pair.a} \u2212 {pair.b}", NAMES[metric].partition(" (")[0])
            table.add_row(*names, difference_cell(difference), "\u2013" if holm is None else p_text(holm))
        table.add_row(f"{pair.cases} cases", "Cohen's kappa of the calls", agreement, end_section=True)
    return table


def _reader_lines(study: Study) -> Sequence[str]:
    r = study.reference
    readers = "1 reader" if len(r.readers) == 1 else f"{len(r.readers)} readers"
    line = f"Reference: majority of {readers}, {len(r.labels)} cases, {r.positives} with pneumonia."
    if len(r.readers) < 2:
        return [line]
    kappa = "undefined" if r.fleiss_kappa is None else f"{r.fleiss_kappa:.4f} over {r.fleiss_cases} cases"
    return [
        f"{line} Cases on which readers disagree: {len(r.disagreements)}; ties, without a reference: {len(r.ties)}.",
        f"Readers' agreement (Fleiss' kappa): {kappa}.",
    ]
