"""The command `compare`: tables of several runs on the screen, and a folder to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from metrics.estimates import Difference
from metrics.evaluation import MEASURES
from train.data.table import Table, grid, markdown
from train.run.compare import Comparison, Mean, Pair, RunFigures, compare
from train.run.compare_plots import draw_runs
from train.run.report import MEASURE_NAMES, network_name
from train.run.run_folder import write_json

PARTS = ("train", "operating", "test")
RUNS_TITLE = (
    "measures on the test images, each network at its own operating point: mean ± standard deviation over the seeds"
)
PAIRS_TITLE = "paired differences on the same test images, first minus second, with 95 % intervals"
PAIR_COLUMNS = (
    "first, second",
    "images",
    "ROC AUC (DeLong)",
    "p",
    "correct in the first only, in the second only",
    "p (McNemar)",
    "balanced accuracy (paired bootstrap)",
)
PAIR_NOTE = (
    "One network of each run is compared: the mean of its seeds' weights, or else the seed with the median ROC AUC on "
    "the operating images. The tests are about these networks, not about the ways they were trained. p-values are "
    "two-sided and not corrected for multiple comparisons."
)


def compare_runs(runs: Sequence[Path], out: Path | None) -> None:
    """Print the tables, and write OUT/compare.md, compare.json and figures/ where `out` is given. Raises RunError."""
    comparison = compare(runs)
    console = Console()
    for table in tables(comparison):
        console.print(grid(table))
    for line in notes(comparison):
        console.print(line, markup=False)
    if out is not None:
        write_comparison(comparison, out)
        print(f"comparison: {out / 'compare.md'}")


def write_comparison(comparison: Comparison, out: Path) -> None:
    """Write compare.md, compare.json, figures/runs.png and runs.svg. They contain no image and no patient."""
    draw_runs(out / "figures" / "runs", comparison)
    facts = asdict(comparison)
    del facts["curves"]
    write_json(out / "compare.json", facts)
    parts = [
        "# Comparison of runs",
        *(markdown(table) for table in tables(comparison)),
        "\n".join(f"- {line}" for line in notes(comparison)),
        "![Measures of each seed, and the ROC of each run's network](figures/runs.png)",
    ]
    (out / "compare.md").write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")


def tables(comparison: Comparison) -> tuple[Table, ...]:
    """Return the table of the runs, one column each, then that of the pairs, if there are any, one row each."""
    columns = ("", *(run.name for run in comparison.runs))
    runs = Table(title=RUNS_TITLE, columns=columns, lines=tuple(_run_lines(comparison.runs)))
    if not comparison.pairs:
        return (runs,)
    pairs = tuple(_pair_line(pair) for pair in comparison.pairs)
    return runs, Table(title=PAIRS_TITLE, columns=PAIR_COLUMNS, lines=pairs)


def notes(comparison: Comparison) -> list[str]:
    """Return how to read the pairs, and why other runs are not paired."""
    unpaired = [f"{pair.first} and {pair.second} are not paired: {pair.reason}" for pair in comparison.not_paired]
    return [PAIR_NOTE, *unpaired] if comparison.pairs else unpaired


def _run_lines(runs: Sequence[RunFigures]) -> list[tuple[str, ...]]:
    lines = [("recipe", *(run.recipe for run in runs))]
    for part in PARTS:
        counts = (f"{_counts(run.images[part])}; {run.images[part]['patients']} patients" for run in runs)
        lines.append((f"{part} images", *counts))
    lines.append(("test images whose label counts", *(_counts(run.counted) for run in runs)))
    lines.append(("seeds", *(", ".join(map(str, run.seeds)) for run in runs)))
    lines.append(("network compared", *(network_name(run.compared) for run in runs)))
    return lines + [(MEASURE_NAMES[name], *(_mean(run.measures[name]) for run in runs)) for name in MEASURES]


def _counts(counts: Mapping[str, int]) -> str:
    return f"{counts['normal']} normal, {counts['pneumonia']} pneumonia"


def _mean(measure: Mean) -> str:
    if measure.mean is None:
        return "-"
    return f"{measure.mean:.3f}" if measure.sd is None else f"{measure.mean:.3f} ± {measure.sd:.3f}"


def _pair_line(pair: Pair) -> tuple[str, ...]:
    return (
        f"{pair.first}, {pair.second}",
        str(pair.images),
        _difference(pair.auc),
        _p_value(pair.auc.p if pair.auc else None),
        f"{pair.mcnemar.only_first}, {pair.mcnemar.only_second}",
        f"{_p_value(pair.mcnemar.p_exact)} (mid-p {_p_value(pair.mcnemar.p_mid)})",
        _difference(pair.balanced_accuracy),
    )


def _difference(difference: Difference | None) -> str:
    if difference is None:
        return "-"
    return f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"


def _p_value(value: float | None) -> str:
    if value is None:
        return "-"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
