"""Select images of a data set, by mask or by how certain their labels are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from train.data.dataset import LabelledImages
from train.recipe import DataSection


def select(dataset: LabelledImages, chosen: NDArray[np.bool_]) -> LabelledImages:
    """Return the images where `chosen` (n,) is true."""
    return LabelledImages(images=dataset.images[chosen], table=dataset.table[chosen].reset_index(drop=True))


def certain_mask(section: DataSection, dataset: LabelledImages) -> NDArray[np.bool_]:
    """Return which images (n,) have a certain label: those that choose the operating point and are measured."""
    return ~np.isin(np.array(dataset.table["tier"], dtype=np.str_), section.uncertain_tiers)


def with_certain_labels(section: DataSection, dataset: LabelledImages) -> LabelledImages:
    """Return the images whose labels are certain."""
    return select(dataset, certain_mask(section, dataset))


def image_sources(dataset: LabelledImages) -> NDArray[np.str_]:
    """Return the source of each image (n,), "" without one."""
    return np.array(dataset.sources, dtype=np.str_)
