"""Calibration images: the training images that set the ranges of an int8 network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from train.data.dataset import LabelledImages

COUNT = 200
"""They are kept with the run."""


def calibration_images(dataset: LabelledImages) -> tuple[NDArray[np.uint8], list[str]]:
    """Return a fixed choice of training images, equally many of each class and source where there are, and digests.

    uint8 (n, 224, 224), n at most COUNT; SHA-256 of each file, hex.
    """
    random = np.random.default_rng(0)
    cells = dataset.table.groupby(["label", "source"], sort=True).indices
    queues = {
        label: [random.permutation(rows).tolist() for (own, _), rows in cells.items() if own == label]
        for label in (0, 1)
    }
    chosen: list[int] = []
    for cells_of_label in queues.values():
        wanted = min(COUNT // 2, sum(map(len, cells_of_label)))
        taken: list[int] = []
        while len(taken) < wanted:
            taken += [rows.pop() for rows in cells_of_label if rows]
        chosen += taken[:wanted]
    rows = np.sort(np.array(chosen))
    return dataset.images[rows], [dataset.digests[index] for index in rows]
