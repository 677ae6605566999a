"""The command `compare`: tables of several runs on the screen, and a folder to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid

from metrics.estimates import Difference
from metrics.evaluation import MEASURES
from train.data.table import Table
from train.run.compare import (
    Comparison,
    Mean,
    Pair,
    RunFigures,
    compare,
)
from train.run.compare_plots import draw_runs
from train.run.report import network_name
from train.run.run_folder import write_json

PARTS = ("train", "operating", "test")
SEEDS = "mean and standard deviation over the seeds; each network decides at its own operating point"
PAIRS = (
    "first minus second, with 95 % intervals, of each run's mean of all seeds' weights or else of the seed with the "
    "median ROC AUC on the operating images: two networks are compared, not two ways to train. p-values are two-sided, "
    "each for itself"
)
PAIR_COLUMNS = (
    "first, second",
    "images",
    "ROC AUC (DeLong)",
    "p",
    "rightly called by the first, the second only",
    "p (McNemar)",
    "balanced accuracy (paired bootstrap)",
)


def compare_runs(runs: Sequence[Path], out: Path | None) -> None:
    """Print the tables; write DIR/compare.md, compare.json and figures/ where `out` is named. Raises RunError."""
    found = compare(runs)
    console = Console()
    for table in tables(found):
        console.print(_grid(table))
    for line in unpaired_lines(found):
        console.print(line, markup=False)
    if out is not None:
        write_comparison(found, out)
        print(f"comparison: {out / 'compare.md'}")


def write_comparison(found: Comparison, out: Path) -> None:
    """compare.md, compare.json, figures/runs.png and .svg. No image and no patient is in them."""
    draw_runs(out / "figures" / "runs", found)
    facts = asdict(found)
    del facts["curves"]
    write_json(out / "compare.json", facts)
    parts = [*(_markdown(table) for table in tables(found)), "\n".join(f"- {line}" for line in unpaired_lines(found))]
    page = "\n\n".join(["# Runs side by side", *(part for part in parts if part), "![](figures/runs.png)"])
    (out / "compare.md").write_text(page + "\n", encoding="utf-8")


def tables(found: Comparison) -> tuple[Table, ...]:
    """The runs, one column each; then the pairs, if there are any, one row each."""
    runs = Table(title=SEEDS, columns=("", *(run.name for run in found.runs)), lines=tuple(_run_lines(found.runs)))
    if not found.pairs:
        return (runs,)
    return runs, Table(title=PAIRS, columns=PAIR_COLUMNS, lines=tuple(_pair_line(pair) for pair in found.pairs))


def unpaired_lines(found: Comparison) -> list[str]:
    """Said plainly of every two runs that no paired test compares."""
    return [f"{pair.first} and {pair.second} are not paired: {pair.reason}" for pair in found.not_paired]


def _run_lines(runs: Sequence[RunFigures]) -> list[tuple[str, ...]]:
    lines = [("recipe", *(run.recipe for run in runs))]
    lines += [(f"{part} images", *(_part_counts(run, part) for run in runs)) for part in PARTS]
    lines.append(("test images whose label counts", *(_counts(run.counted) for run in runs)))
    lines.append(("seeds (the network compared)", *(_seeds(run) for run in runs)))
    return lines + [
        (measure.replace("_", " "), *(_mean(run.measures[measure]) for run in runs)) for measure in MEASURES
    ]


def _part_counts(run: RunFigures, part: str) -> str:
    return f"{_counts(run.images[part])} of {run.images[part]['patients']} patients"


def _counts(counts: object) -> str:
    return "{normal} normal, {pneumonia} pneumonia".format_map(counts)  # type: ignore[arg-type]


def _seeds(run: RunFigures) -> str:
    return f"{', '.join(map(str, run.seeds))} ({network_name(run.compared)})"


def _mean(found: Mean) -> str:
    if found.mean is None:
        return "-"
    return f"{found.mean:.4f}" if found.sd is None else f"{found.mean:.4f} ± {found.sd:.4f}"


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
    return f"{difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"


def _p_value(value: float | None) -> str:
    if value is None:
        return "-"
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def _grid(table: Table) -> Grid:
    grid = Grid(*table.columns, title=table.title, title_justify="left")
    for line in table.lines:
        grid.add_row(*line)
    return grid


def _markdown(table: Table) -> str:
    rows = [table.columns, ("---",) * len(table.columns), *table.lines]
    return "\n".join([f"{table.title[0].upper()}{table.title[1:]}.", "", *(f"| {' | '.join(row)} |" for row in rows)])
