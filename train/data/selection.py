"""Select images of a data set, by mask or by the source of their labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.data.dataset import LabelledImages
from train.recipe import Recipe


def select(dataset: LabelledImages, chosen: NDArray[np.bool_]) -> LabelledImages:
    """The images where `chosen` (n,) is true."""
    kept = np.flatnonzero(chosen)
    return _make({field.name: _picked(getattr(dataset, field.name), kept) for field in fields(dataset)})


def concatenate(first: LabelledImages, second: LabelledImages) -> LabelledImages:
    """All images of both, in this order."""
    pairs = {field.name: (getattr(first, field.name), getattr(second, field.name)) for field in fields(first)}
    return _make(
        {name: np.concatenate(p) if isinstance(p[0], np.ndarray) else (*p[0], *p[1]) for name, p in pairs.items()}
    )


def _make(columns: Mapping[str, Any]) -> LabelledImages:
    return LabelledImages(**columns)


def _picked(values: Any, kept: NDArray[np.int64]) -> Any:
    return values[kept] if isinstance(values, np.ndarray) else tuple(values[index] for index in kept)


def label_source_mask(recipe: Recipe, dataset: LabelledImages) -> NDArray[np.bool_]:
    """Which images' labels teach, (n,). A manifest without sources: all of them."""
    named = recipe.data.label_sources
    if named is None or not any(dataset.sources):
        return np.ones(len(dataset), bool)
    return np.isin(np.array(dataset.sources), named)


def from_label_sources(recipe: Recipe, dataset: LabelledImages) -> LabelledImages:
    """The images whose labels teach."""
    return select(dataset, label_source_mask(recipe, dataset))


def image_sources(dataset: LabelledImages) -> NDArray[np.str_]:
    """Of each image, its source; "" without one."""
    return np.array([source or "" for source in dataset.sources], dtype=np.str_)
