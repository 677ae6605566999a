"""Shift report: what the recipe's network reaches on images of other making than its training images.

Images of a network's own sources flatter it: it knows their acquisition style. So each group of sources is left out of
a training of its own and measured by that network. Where there is one source only, the test images whose acquisition
style contradicts their label are measured apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from metrics.evaluation import Evaluation, evaluate
from train.data.acquisition_style import style_chances
from train.data.dataset import LabelledImages
from train.data.selection import image_sources, select, with_certain_labels
from train.fitting.history import Step
from train.fitting.train_network import TrainedNetwork, train_network
from train.networks.predictor import predict
from train.recipe import Recipe
from train.run.report import released_network, summarise
from train.run.run_folder import RunError, load_predictor, read_json, read_operating, write_json

SHIFT = "shift.json"
ALL, CONTRADICTING = "all", "style contradicts the label"
EVEN = 0.5
MIN_IMAGES = 20
"""A view with fewer images of a source has no row of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftRow:
    """Measures of one group of images. `left_out` are the sources that its network was not trained on.

    `group` is ALL, a view of the source, or CONTRADICTING.
    """

    left_out: tuple[str, ...]
    source: str
    group: str
    measures: Evaluation


def shift_report(
    run: Path,
    recipe: Recipe,
    parts: Mapping[str, LabelledImages],
    *,
    on_step: Callable[[Step], None] = lambda _: None,
) -> tuple[ShiftRow, ...]:
    """Train without each group of sources in turn, and measure all images of the group that have certain labels.

    Without groups, the run's own network is measured on the test images, those with a contradicting style apart.
    """
    if not recipe.shift.leave_out:
        return tuple(_contradicting_rows(recipe, run, parts["test"]))
    rows: list[ShiftRow] = []
    for left_out in recipe.shift.leave_out:
        kept = {part: select(dataset, ~np.isin(image_sources(dataset), left_out)) for part, dataset in parts.items()}
        trained = train_network(recipe, kept, recipe.seeds[0], on_step=on_step)
        rows += _left_out_rows(recipe, parts, left_out, trained)
    return tuple(rows)


def _left_out_rows(
    recipe: Recipe, parts: Mapping[str, LabelledImages], left_out: Sequence[str], trained: TrainedNetwork
) -> Iterator[ShiftRow]:
    for source in left_out:
        own = [
            select(dataset, image_sources(dataset) == source)
            for dataset in (with_certain_labels(recipe.data, part) for part in parts.values())
            if source in dataset.sources
        ]
        labels = np.concatenate([dataset.labels for dataset in own])
        views = np.concatenate([dataset.table["view"].to_numpy(str) for dataset in own])
        logits = np.concatenate([predict(trained.predictor, dataset.images).logits for dataset in own])
        for group, chosen in _groups(views):
            measures = evaluate(labels[chosen] == 1, logits[chosen], trained.decided(logits[chosen]))
            yield ShiftRow(left_out=tuple(left_out), source=source, group=group, measures=measures)


def _groups(views: NDArray[np.str_]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    yield ALL, np.ones(len(views), bool)
    for view in ("PA", "AP"):
        chosen = views == view
        if chosen.sum() >= MIN_IMAGES and not chosen.all():
            yield view, chosen


def _contradicting_rows(recipe: Recipe, run: Path, test: LabelledImages) -> Iterator[ShiftRow]:
    dataset = with_certain_labels(recipe.data, test)
    network = released_network(run, summarise(run))
    logits = predict(load_predictor(run, network), dataset.images).logits
    decided = logits >= (read_operating(run, network).operating_logit or 0.0)
    own = style_chances(dataset.images, dataset.labels, dataset.patients, 0)
    for group, chosen in ((ALL, np.ones(len(own), bool)), (CONTRADICTING, own < EVEN)):
        measures = evaluate(dataset.labels[chosen] == 1, logits[chosen], decided[chosen])
        yield ShiftRow(left_out=(), source="", group=group, measures=measures)


def write_shift(out: Path, rows: Sequence[ShiftRow]) -> None:
    """Write shift.json."""
    write_json(out / SHIFT, [asdict(row) for row in rows])


def read_shift(run: Path) -> tuple[ShiftRow, ...]:
    """Return the rows of shift.json, none where the run has no such file. Raises RunError."""
    if not (run / SHIFT).is_file():
        return ()
    try:
        return TypeAdapter(tuple[ShiftRow, ...]).validate_python(read_json(run / SHIFT))
    except ValidationError:
        raise RunError(f"{run / SHIFT}: not as this version writes it; train the run again") from None


def shift_table(rows: Sequence[ShiftRow]) -> str:
    """Return a Markdown table with 95 % intervals; "" without rows."""
    if not rows:
        return ""
    columns = ("trained without", "measured on", "normal", "pneumonia", "ROC AUC", "sensitivity", "specificity")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in rows:
        m = row.measures
        figures = [
            "-" if value is None else f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"
            for value in (m.roc_auc, m.sensitivity, m.specificity)
        ]
        place = " ".join(filter(None, [row.source or "test images", "" if row.group == ALL else row.group]))
        cells = [", ".join(row.left_out) or "-", place, str(m.tn + m.fp), str(m.tp + m.fn), *figures]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
