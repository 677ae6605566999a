"""Taught: the films of a part come in; those whose labels teach, and the kinds of all of them, go out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.data.dataset import Films
from train.recipe import Recipe


def only(films: Films, chosen: NDArray[np.bool_]) -> Films:
    """The films where `chosen` (n,) is true."""
    kept = np.flatnonzero(chosen)
    return _films({field.name: _picked(getattr(films, field.name), kept) for field in fields(films)})


def together(first: Films, second: Films) -> Films:
    """All films of both, in this order."""
    pairs = {field.name: (getattr(first, field.name), getattr(second, field.name)) for field in fields(first)}
    return _films(
        {name: np.concatenate(p) if isinstance(p[0], np.ndarray) else (*p[0], *p[1]) for name, p in pairs.items()}
    )


def _films(columns: Mapping[str, Any]) -> Films:
    return Films(**columns)


def _picked(values: Any, kept: NDArray[np.int64]) -> Any:
    return values[kept] if isinstance(values, np.ndarray) else tuple(values[index] for index in kept)


def teaching(recipe: Recipe, films: Films) -> NDArray[np.bool_]:
    """Which films' labels teach, (n,). A manifest without sources: all of them."""
    named = recipe.data.taught_by
    if named is None or not any(films.sources):
        return np.ones(len(films), bool)
    return np.isin(np.array(films.sources), named)


def taught(recipe: Recipe, films: Films) -> Films:
    """The films whose labels teach."""
    return only(films, teaching(recipe, films))


def kinds(films: Films) -> NDArray[np.str_]:
    """Of each film, its source; "" without one."""
    return np.array([source or "" for source in films.sources], dtype=np.str_)
