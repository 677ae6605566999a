"""Blend: a run with its trained seeds comes in; the mean of their weights goes out, written and measured as a seed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from train.data.dataset import Films
from train.fitting.train_network import blended, steps_of
from train.recipe import Recipe, StudyNetwork
from train.run.run_folder import (
    SOUP,
    is_finished,
    load_seed,
    seeds_of,
    write_seed,
)


def has_soup(recipe: Recipe, films: Mapping[str, Films]) -> bool:
    """Whether a run ends with the mean of its seeds: where whole networks were trained."""
    tuned = not isinstance(recipe.network, StudyNetwork) and steps_of(recipe, films) > 0
    return recipe.fine_tune.soup and tuned and len(recipe.seeds) > 1


def blend(out: Path, recipe: Recipe, films: Mapping[str, Films]) -> Path | None:
    """Write the soup of all finished seeds beside them; None where there is none to make or it is there already."""
    if not has_soup(recipe, films) or is_finished(out, SOUP):
        return None
    networks = [load_seed(out, seed).trained for seed in seeds_of(out)]
    return write_seed(out, recipe, films, SOUP, blended(recipe, films, networks))
