"""Select images of a data set by mask or by source, and join data sets."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from train.data.dataset import LabelledImages
from train.recipe import DataSection


def select(dataset: LabelledImages, chosen: NDArray[np.bool_]) -> LabelledImages:
    """Return the images where `chosen` (n,) is true."""
    return LabelledImages(images=dataset.images[chosen], table=dataset.table[chosen].reset_index(drop=True))


def concatenate(first: LabelledImages, second: LabelledImages) -> LabelledImages:
    """Return all images of both, in this order."""
    return LabelledImages(
        images=np.concatenate([first.images, second.images]),
        table=pd.concat([first.table, second.table], ignore_index=True),
    )


def label_source_mask(section: DataSection, dataset: LabelledImages) -> NDArray[np.bool_]:
    """Return which images have labels that are used, (n,): those of the label sources, or all without sources."""
    sources = image_sources(dataset)
    if section.label_sources is None or not sources.astype(bool).any():
        return np.ones(len(dataset), bool)
    return np.isin(sources, section.label_sources)


def from_label_sources(section: DataSection, dataset: LabelledImages) -> LabelledImages:
    """Return the images whose labels are used."""
    return select(dataset, label_source_mask(section, dataset))


def image_sources(dataset: LabelledImages) -> NDArray[np.str_]:
    """Return the source of each image (n,), "" without one."""
    return np.array(dataset.sources, dtype=np.str_)
