"""Select images of a data set, by mask or by how certain their labels are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from train.data.dataset import LabelledImages
from train.recipe import DataSection

CALIBRATION_IMAGES = 200
"""Training images that set the ranges of an int8 network; they are kept with the run."""


def select(dataset: LabelledImages, chosen: NDArray[np.bool_]) -> LabelledImages:
    """Return the images where `chosen` (n,) is true."""
    return LabelledImages(images=dataset.images[chosen], table=dataset.table[chosen].reset_index(drop=True))


def certain_mask(section: DataSection, dataset: LabelledImages) -> NDArray[np.bool_]:
    """Return which images (n,) have a certain label: those that choose the operating point."""
    return ~np.isin(np.array(dataset.table["tier"], dtype=np.str_), section.uncertain_tiers)


def with_certain_labels(section: DataSection, dataset: LabelledImages) -> LabelledImages:
    """Return the images whose labels are certain."""
    return select(dataset, certain_mask(section, dataset))


def measured_mask(section: DataSection, dataset: LabelledImages) -> NDArray[np.bool_]:
    """Return which images (n,) the main figures are of: certain labels, and of the measured sources if any are named.

    A manifest without sources has no others.
    """
    certain, sources = certain_mask(section, dataset), image_sources(dataset)
    if section.measured_sources is None or not sources.astype(bool).any():
        return certain
    return certain & np.isin(sources, section.measured_sources)


def image_sources(dataset: LabelledImages) -> NDArray[np.str_]:
    """Return the source of each image (n,), "" without one."""
    return np.array(dataset.sources, dtype=np.str_)


def calibration_images(dataset: LabelledImages) -> tuple[NDArray[np.uint8], list[str]]:
    """Return a fixed choice of training images, equally many of each class and source where there are, and digests.

    uint8 (n, 224, 224), n at most CALIBRATION_IMAGES; SHA-256 of each file, hex.
    """
    random = np.random.default_rng(0)
    cells = dataset.table.groupby(["label", "source"], sort=True).indices
    queues = {
        label: [random.permutation(rows).tolist() for (own, _), rows in cells.items() if own == label]
        for label in (0, 1)
    }
    chosen: list[int] = []
    for cells_of_label in queues.values():
        wanted = min(CALIBRATION_IMAGES // 2, sum(map(len, cells_of_label)))
        taken: list[int] = []
        while len(taken) < wanted:
            taken += [rows.pop() for rows in cells_of_label if rows]
        chosen += taken[:wanted]
    rows = np.sort(np.array(chosen))
    return dataset.images[rows], [dataset.digests[index] for index in rows]
