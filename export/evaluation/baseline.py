"""Versus: a box's answers of test films and a baseline's run come in; both on the films they share, paired, go out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from export.evaluation.curves import (
    Roc,
    Taught,
    roc,
    training_curves,
)
from metrics.estimates import Difference, Floats
from metrics.evaluation import Evaluation, evaluate
from metrics.paired import McNemar, mcnemar, paired_bootstrap
from metrics.roc import roc_auc_difference
from train.data.dataset import LabelledImages
from train.data.selection import select
from train.recipe import load_recipe
from train.run.report import released_network, summarise
from train.run.run_folder import RunError, seed_folder
from train.run.score_files import DECISIONS, counted_scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One network on the films: `form` says what answered, such as int8 on the device's own code."""

    name: str
    form: str
    figures: Evaluation
    roc: Roc
    training: tuple[Taught, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Versus:
    """Ours and a baseline on `films` test films that both kept apart; differences are ours minus the baseline's.

    `left_out` of our test films are not the baseline's. `auc` None with fewer than two films of a class.
    """

    films: int
    normal: int
    pneumonia: int
    left_out: int
    ours: Side
    theirs: Side
    auc: Difference | None
    mcnemar: McNemar
    balanced_accuracy: Difference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """What a network said of n films: `logits` and whether it called them pneumonia, both (n,)."""

    logits: Floats
    decided: NDArray[np.bool_]

    def of(self, chosen: NDArray[np.bool_]) -> Called:
        """The films where `chosen` (n,) is true."""
        return Called(logits=self.logits[chosen], decided=self.decided[chosen])


INT8, KERAS = "int8, by the device's own code", "float, by Keras"


def side(name: str, form: str, dataset: LabelledImages, called: Called, training: tuple[Taught, ...]) -> Side:
    """One network on `films`, of both classes."""
    return Side(
        name=name, form=form, training=training,
        figures=evaluate(dataset.labels == 1, called.logits, called.decided),
        roc=roc(dataset.labels == 1, called.logits, called.decided),
    )  # fmt: skip


def versus(name: str, dataset: LabelledImages, called: Called, run: Path, baseline: Path) -> Versus:
    """`films` are our test films whose labels count, `called` what the box says of them.

    Films are the same by the digest of their file and by label, whatever a manifest calls them. Raises RunError where
    the runs do not share films of both classes.
    """
    table = _scores(baseline)
    shared = np.array([_same(table, dataset, place) for place in range(len(dataset))])
    common, ours = select(dataset, shared), called.of(shared)
    if len(set(common.labels.tolist())) < 2:
        raise RunError(
            f"{baseline}: shares {len(common)} test films with {run}, films of both classes expected; name a run that "
            "was measured on the same ones"
        )
    rows = table.loc[list(common.digests)]
    theirs = Called(logits=rows["logit"].to_numpy(np.float64), decided=rows["decided"].to_numpy(np.int64) == 1)
    counts, positive = common.counts(), common.labels == 1
    return Versus(
        films=len(common), normal=counts["normal"], pneumonia=counts["pneumonia"], left_out=len(dataset) - len(common),
        ours=side(name, INT8, common, ours, training_curves(run)),
        theirs=side(load_recipe(baseline / "recipe.yaml").name, KERAS, common, theirs, training_curves(baseline)),
        auc=roc_auc_difference(positive, ours.logits, theirs.logits),
        mcnemar=mcnemar(ours.decided == positive, theirs.decided == positive),
        balanced_accuracy=paired_bootstrap(positive, ours.decided, theirs.decided, common.patients),
    )  # fmt: skip


def _scores(run: Path) -> pd.DataFrame:
    """By digest: label, logit and decided of the test films whose labels count, by the network it would release."""
    folder = seed_folder(run, released_network(run, summarise(run)))
    try:
        scores = counted_scores(folder).set_index("case_id")
        decisions = pd.read_csv(folder / DECISIONS).set_index("case_id")["label"].rename("decided")
        films = pd.read_csv(run / "images.csv", dtype=str, keep_default_na=False)
        digests = films[films["part"] == "test"].set_index("file")["sha256"]
        joined = scores.join(decisions, how="inner").join(digests, how="inner")
    except (OSError, KeyError, ValueError) as error:
        raise RunError(f"{run}: its scores cannot be read ({error}); train the run again") from None
    return joined.drop_duplicates("sha256").set_index("sha256")


def _same(table: pd.DataFrame, dataset: LabelledImages, place: int) -> bool:
    digest = dataset.digests[place]
    return digest in table.index and int(table.loc[digest, "label"]) == int(dataset.labels[place])
