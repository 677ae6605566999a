"""Compare runs: their figures side by side, and paired tests where their test images are the same.

Images are identified by the digest of their file: two manifests may name and order them differently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pandas as pd

from metrics.estimates import Bools, Difference, Floats
from metrics.paired import McNemar, mcnemar, paired_bootstrap
from metrics.roc import roc_auc_difference
from train.data.dataset import LABELS
from train.run.report import RunSummary, released_network, summarise
from train.run.run_folder import IMAGES, NetworkChoice, RunError, seed_folder
from train.run.score_files import DECISIONS, SCORES, counted_scores

COUNTED = ("normal", "pneumonia", "patients")
KEY = ["sha256", "copy"]
"""A part may contain an image twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """A measure over a run's seeds; `sd` (n - 1) None with one seed, both None where no seed defines the measure."""

    mean: float | None
    sd: float | None
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """One run. `images` counts each part's images by label, and patients; `counted` the test images whose label counts.

    `compared` is the seed whose network is compared with other runs', or AVERAGED.
    """

    name: str
    recipe: str
    images: Mapping[str, Mapping[str, int]]
    counted: Mapping[str, int]
    seeds: tuple[int, ...]
    compared: NetworkChoice
    measures: Mapping[str, Mean]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The released networks of two runs on the images that both are measured on.

    Differences are first minus second; `auc` is None with fewer than two images of a class.
    """

    first: str
    second: str
    images: int
    auc: Difference | None
    mcnemar: McNemar
    balanced_accuracy: Difference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotPaired:
    """Two runs that no paired test can compare, and why."""

    first: str
    second: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The figures of all runs and pairs. `curves` has labels and logits of the compared networks, by run."""

    runs: tuple[RunFigures, ...]
    pairs: tuple[Pair, ...]
    not_paired: tuple[NotPaired, ...]
    curves: Mapping[str, tuple[Bools, Floats]]


def compare(runs: Sequence[Path]) -> Comparison:
    """Compare runs by their folders. Raises RunError for a folder that is no run, and unless two or more differ."""
    if len({run.resolve() for run in runs}) < max(2, len(runs)):
        raise RunError("two or more different runs are needed; name the folders that `fit --out` wrote")
    named = dict(zip(_names(runs), runs, strict=True))
    summaries = {name: summarise(run) for name, run in named.items()}
    networks = {name: released_network(run, summaries[name]) for name, run in named.items()}
    scores = {name: _scores(run, networks[name]) for name, run in named.items()}
    outcomes = [_pair(one, scores[one], other, scores[other]) for one, other in combinations(named, 2)]
    counted = {name: table[table["counted"] == 1] for name, table in scores.items()}
    return Comparison(
        runs=tuple(_figures(name, summary, counted[name], networks[name]) for name, summary in summaries.items()),
        pairs=tuple(outcome for outcome in outcomes if isinstance(outcome, Pair)),
        not_paired=tuple(outcome for outcome in outcomes if isinstance(outcome, NotPaired)),
        curves={name: (table["label"].to_numpy() == 1, table["logit"].to_numpy()) for name, table in counted.items()},
    )


def _names(runs: Sequence[Path]) -> list[str]:
    """Return the folders' names, or their whole paths where two have the same name."""
    short = [run.resolve().name for run in runs]
    return short if len(set(short)) == len(short) else [str(run) for run in runs]


def _figures(name: str, summary: RunSummary, counted: pd.DataFrame, compared: NetworkChoice) -> RunFigures:
    images = {part: {name: getattr(counts, name) for name in COUNTED} for part, counts in summary.data.items()}
    return RunFigures(
        name=name,
        recipe=summary.recipe,
        images=images,
        seeds=summary.seeds,
        counted={name: int((counted["label"] == label).sum()) for name, label in LABELS.items()},
        compared=compared,
        measures={
            name: Mean(mean=spread.mean, sd=spread.sd, values=spread.values)
            for name, spread in summary.measures.items()
        },
    )


def _scores(run: Path, seed: NetworkChoice) -> pd.DataFrame:
    """Return the test images: sha256, copy, patient_id, label, logit, counted, and decided where counted."""
    folder = seed_folder(run, seed)
    try:
        table = pd.read_csv(run / IMAGES, dtype={"patient_id": str, "file": str})
        scores = pd.read_csv(folder / SCORES, dtype={"case_id": str})
        decisions = pd.read_csv(folder / DECISIONS, dtype={"case_id": str})
        return _joined(table, scores, decisions, set(counted_scores(folder)["case_id"].astype(str)))
    except (OSError, KeyError, ValueError) as error:
        raise RunError(f"{run}: images or scores cannot be read ({error}); train the run again") from None


def _joined(dataset: pd.DataFrame, scores: pd.DataFrame, decisions: pd.DataFrame, counted: set[str]) -> pd.DataFrame:
    test = dataset.loc[dataset["part"] == "test", ["file", "patient_id", "sha256"]].rename(columns={"file": "case_id"})
    decided = decisions[["case_id", "label"]].rename(columns={"label": "decided"})
    table = test.merge(scores[["case_id", "label", "logit"]], on="case_id", validate="one_to_one")
    table = table.merge(decided, on="case_id", how="left", validate="one_to_one")
    table["counted"] = table["case_id"].isin(counted).astype(int)
    table["copy"] = table.groupby("sha256").cumcount()
    return table


def _pair(one: str, first: pd.DataFrame, other: str, second: pd.DataFrame) -> Pair | NotPaired:
    both = first.merge(second, on=KEY, suffixes=("", "_other"))
    if not len(both) == len(first) == len(second):
        reason = f"their test images differ: {len(both)} in common, of {len(first)} and {len(second)}"
        return NotPaired(first=one, second=other, reason=reason)
    if unlike := int((both["label"] != both["label_other"]).sum()):
        reason = f"of the same test images, {unlike} have different labels"
        return NotPaired(first=one, second=other, reason=reason)
    both = both[(both["counted"] == 1) & (both["counted_other"] == 1)]
    if both.empty:
        return NotPaired(first=one, second=other, reason="no test image has a label that counts for both")
    positive, patients = both["label"].to_numpy() == 1, both["patient_id"].astype(str).tolist()
    called, called_other = both["decided"].to_numpy() == 1, both["decided_other"].to_numpy() == 1
    return Pair(
        first=one,
        second=other,
        images=len(both),
        auc=roc_auc_difference(positive, both["logit"].to_numpy(), both["logit_other"].to_numpy()),
        mcnemar=mcnemar(called == positive, called_other == positive),
        balanced_accuracy=paired_bootstrap(positive, called, called_other, patients),
    )
