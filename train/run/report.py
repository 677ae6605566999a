"""The report of a run: its table of seeds with mean and spread, and its figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from metrics.estimates import Estimate
from metrics.evaluation import MEASURES, Evaluation
from train.run.plots import draw_confusion, draw_roc, draw_training
from train.run.records import MetricsRecord, PartCounts
from train.run.run_folder import (
    AVERAGED,
    NetworkChoice,
    is_finished,
    read_data,
    read_history,
    read_metrics,
    read_recipe,
    seed_folder,
    seeds_of,
    write_json,
)
from train.run.score_files import counted_scores

COUNTS = ("tn", "fp", "fn", "tp")
STUDY_COUNTS: Mapping[str, int] = {"tn": 138, "fp": 93, "fn": 3, "tp": 297}
STUDY_MEASURES: Mapping[str, float | None] = {
    "accuracy": 0.8192,
    "sensitivity": 0.9900,
    "specificity": 0.5974,
    "precision": 0.7615,
    "f1": 0.8609,
    "balanced_accuracy": 0.7937,
    "roc_auc": None,
}
"""The study's own network on its own 531 images; what it prints as AUC is the balanced accuracy."""
MEASURE_NAMES: Mapping[str, str] = {name: name.replace("_", " ") for name in MEASURES} | {
    "f1": "F1",
    "roc_auc": "ROC AUC",
}
MEAN = "mean of the seeds' weights"


def report(run: Path) -> RunSummary:
    """Write summary.json, table.md and figures/, and return the summary. Raises RunError."""
    summary = summarise(run)
    write_json(run / "summary.json", asdict(summary))
    (run / "table.md").write_text(table(summary), encoding="utf-8")
    draw(run, summary)
    return summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A measure over the seeds; `sd` (n - 1) is None with one seed, all are None where no seed defines the measure."""

    mean: float | None
    sd: float | None
    min: float | None
    max: float | None
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AverageSummary:
    """The network with the mean of all seeds' weights: its counts and measures on the test images."""

    confusion: Mapping[str, int]
    measures: Mapping[str, float | None]
    estimates: Mapping[str, Estimate | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """summary.json: a run's measures on the test images over its seeds, each at its own operating logit.

    `data` has images and patients of each part; `confusion` the counts and `estimates` the measures with 95 %
    intervals, by seed (as text). `weight_average` is None where the run has no such network.
    """

    recipe: str
    data: Mapping[str, PartCounts]
    seeds: tuple[int, ...]
    representative_seed: int
    weight_average: AverageSummary | None
    confusion: Mapping[str, Mapping[str, int]]
    measures: Mapping[str, Spread]
    estimates: Mapping[str, Mapping[str, Estimate | None]]


def summarise(run: Path) -> RunSummary:
    """Read all finished seeds of a run. Raises RunError."""
    seeds = seeds_of(run)
    measured = {seed: read_metrics(run, seed) for seed in seeds}
    values = {name: [value_of(getattr(measured[seed].test, name)) for seed in seeds] for name in MEASURES}
    return RunSummary(
        recipe=read_recipe(run).name,
        data=read_data(run).parts,
        seeds=tuple(seeds),
        representative_seed=representative(measured),
        weight_average=_weight_average(run),
        confusion={str(seed): _counts(measured[seed].test) for seed in seeds},
        measures={name: _spread(of_seeds) for name, of_seeds in values.items()},
        estimates={str(seed): _estimates(measured[seed].test) for seed in seeds},
    )


def representative(measured: Mapping[int, MetricsRecord]) -> int:
    """Return the seed with the median ROC AUC on the operating images, the lower of two: chosen without the test."""
    ranked = sorted(measured, key=lambda seed: (value_of(measured[seed].operating.roc_auc), seed))
    return ranked[(len(ranked) - 1) // 2]


def value_of(estimate: Estimate | None) -> float | None:
    """Return the figure alone; None where the measure is not defined."""
    return None if estimate is None else estimate.value


def _counts(measures: Evaluation) -> dict[str, int]:
    return {name: getattr(measures, name) for name in COUNTS}


def _estimates(measures: Evaluation) -> dict[str, Estimate | None]:
    return {name: getattr(measures, name) for name in MEASURES}


def _weight_average(run: Path) -> AverageSummary | None:
    if not is_finished(run, AVERAGED):
        return None
    measures = read_metrics(run, AVERAGED).test
    return AverageSummary(
        confusion=_counts(measures),
        measures={name: value_of(getattr(measures, name)) for name in MEASURES},
        estimates=_estimates(measures),
    )


def released_network(run: Path, summary: RunSummary) -> NetworkChoice:
    """Return the network that is released: the mean of all seeds' weights, or else the representative seed."""
    return AVERAGED if is_finished(run, AVERAGED) else summary.representative_seed


def network_name(seed: NetworkChoice) -> str:
    """Return what tables and messages call a network."""
    return MEAN if seed == AVERAGED else f"seed {seed}"


def _spread(values: list[float | None]) -> Spread:
    """None stands where a seed's decisions do not define the measure, such as precision without a flagged image."""
    defined = np.array([value for value in values if value is not None], np.float64)
    if not len(defined):
        return Spread(mean=None, sd=None, min=None, max=None, values=tuple(values))
    return Spread(
        mean=float(defined.mean()),
        sd=float(defined.std(ddof=1)) if len(defined) > 1 else None,
        min=float(defined.min()),
        max=float(defined.max()),
        values=tuple(values),
    )


def table(summary: RunSummary) -> str:
    """Return a Markdown table: a row for each seed with 95 % intervals, then mean, spread and the study's figures."""
    names = [*(name.upper() for name in COUNTS), *MEASURE_NAMES.values()]
    lines = [_line("network", names), "|---" * (len(names) + 1) + "|"]
    for seed in summary.seeds:
        counts = [str(summary.confusion[str(seed)][name]) for name in COUNTS]
        measures = [_with_interval(summary.estimates[str(seed)][name]) for name in MEASURES]
        lines.append(_line(f"seed {seed}", counts + measures))
    blank, spread = [""] * len(COUNTS), summary.measures
    lines.append(_line("**mean**", blank + [f"**{_figure(spread[name].mean)}**" for name in MEASURES]))
    lines.append(_line("standard deviation", blank + [_figure(spread[name].sd) for name in MEASURES]))
    if (averaged := summary.weight_average) is not None:
        counts = [str(averaged.confusion[name]) for name in COUNTS]
        lines.append(_line(MEAN, counts + [_with_interval(averaged.estimates[name]) for name in MEASURES]))
    study = [str(STUDY_COUNTS[name]) for name in COUNTS] + [_figure(STUDY_MEASURES[name]) for name in MEASURES]
    lines.append(_line("the study, on its own images", study))
    return "\n".join(lines) + "\n"


def _with_interval(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    return f"{estimate.value:.4f} ({estimate.low:.4f} to {estimate.high:.4f})"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _line(name: str, cells: list[str]) -> str:
    return f"| {' | '.join([name, *cells])} |"


def draw(run: Path, summary: RunSummary) -> None:
    """Draw the study's three figures into RUN/figures."""
    folders = {seed: seed_folder(run, seed) for seed in summary.seeds}
    figures = run / "figures"
    histories = {seed: read_history(run, seed) for seed in summary.seeds}
    if any(histories.values()):  # a linear probe has no batches
        draw_training(figures / "training", histories, epochs=read_recipe(run).epochs)
    tables = {seed: counted_scores(folder) for seed, folder in folders.items()}
    truth = tables[summary.representative_seed]["label"]
    images = f"{(truth == 0).sum()} normal and {(truth == 1).sum()} pneumonia test images"
    scores = {seed: (scored["label"].to_numpy(), scored["logit"].to_numpy()) for seed, scored in tables.items()}
    draw_roc(figures / "roc", scores, images=images)
    typical = summary.representative_seed
    draw_confusion(figures / "confusion", summary.confusion[str(typical)], title=f"test images, seed {typical}")
