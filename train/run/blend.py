"""Add the mean of the seeds' weights to a run, written and measured as a seed is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from train.data.dataset import LabelledImages
from train.fitting.train_network import average_networks
from train.recipe import Recipe, StudyNetwork
from train.run.run_folder import (
    AVERAGED,
    is_finished,
    load_seed,
    seeds_of,
    write_seed,
)


def has_average(recipe: Recipe) -> bool:
    """Whether a run ends with the mean of its seeds' weights: where several networks start from the same weights."""
    return recipe.average_seeds and not isinstance(recipe.network, StudyNetwork) and len(recipe.seeds) > 1


def write_average(out: Path, recipe: Recipe, parts: Mapping[str, LabelledImages]) -> Path | None:
    """Write the average of all finished seeds beside them; None where there is none to make or it is there already."""
    if not has_average(recipe) or is_finished(out, AVERAGED):
        return None
    networks = [load_seed(out, seed).predictor for seed in seeds_of(out)]
    return write_seed(out, recipe, parts, AVERAGED, average_networks(recipe, parts, networks))
