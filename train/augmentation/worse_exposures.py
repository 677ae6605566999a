"""Corrupted copies of held-out images, for choices that must hold on worse exposures.

A probability or a band chosen on images of the same making as the training's is too sure of itself elsewhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from train.augmentation.corruptions import CORRUPTIONS, corrupt

STRENGTHS = (1, 2)
"""The strongest are faults that a technologist repeats the exposure for."""


def corrupted_copies(images: NDArray[np.uint8], copies: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Each of `images` uint8 (n, rows, columns) with `copies` faults, (n * copies, rows, columns), and whose they are.

    Which faults an image gets is drawn once and for all, so that every network is measured on the same.
    """
    random = np.random.default_rng(0)
    names = sorted(CORRUPTIONS)
    whose = np.repeat(np.arange(len(images)), copies)
    faults = [(names[random.integers(len(names))], STRENGTHS[random.integers(len(STRENGTHS))]) for _ in whose]
    found = [corrupt(images[index][None], *fault)[0] for index, fault in zip(whose, faults, strict=True)]
    return np.array(found, np.uint8).reshape(-1, *images.shape[1:]), whose
