"""Sampling: how often each training image is drawn, and which image of the other class lends its acquisition style.

From a source with one class a network learns the source rather than the disease. So both classes are drawn equally
often, and sources within a class by stated shares, whatever their sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.data.dataset import LabelledImages
from train.recipe import SamplingSection

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One training image: its `index`, that of the image which lends its style (None: none), and a random `seed`."""

    index: int
    donor: int | None
    seed: int


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """Draws images of `labels` (n,) with `chances` (n,), the same for the same `seed`."""

    labels: NDArray[np.int64]
    chances: Floats
    acquisition_style_transfer: float
    seed: int

    def batch(self, step: int, size: int) -> Iterator[Draw]:
        """Return the `size` draws of a step, counted from 0."""
        random = np.random.default_rng((self.seed, step))
        indices = random.choice(len(self.labels), size, p=self.chances)
        donors = np.empty(size, np.int64)
        for label in (0, 1):
            other = np.where(self.labels == label, 0.0, self.chances)
            rows = self.labels[indices] == label
            donors[rows] = random.choice(len(self.labels), int(rows.sum()), p=other / other.sum())
        styled = random.random(size) < self.acquisition_style_transfer
        seeds = random.integers(0, 2**31, size)
        for index, donor, own, seed in zip(indices, donors, styled, seeds, strict=True):
            yield Draw(index=int(index), donor=int(donor) if own else None, seed=int(seed))


def sampler(section: SamplingSection, dataset: LabelledImages, seed: int) -> Sampler:
    """Return what draws the images of `dataset`."""
    return Sampler(
        labels=dataset.labels,
        chances=chances(section, dataset),
        acquisition_style_transfer=section.acquisition_style_transfer,
        seed=seed,
    )


def chances(section: SamplingSection, dataset: LabelledImages) -> Floats:
    """Return the chance (n,) of each image to be drawn; they sum to 1, and to one half for each class."""
    labels, sources = dataset.labels, np.array(dataset.sources)
    weights = np.array([section.tiers.get(tier, 1.0) for tier in dataset.table["tier"]], np.float64)
    for label in (0, 1):
        for source in np.unique(sources[labels == label]):
            chosen = (labels == label) & (sources == source)
            share = section.shares.get(str(source), (section.other_share,) * 2)[label]
            weights[chosen] *= share / max(weights[chosen].sum(), np.finfo(float).tiny)
        weights[labels == label] *= 0.5 / weights[labels == label].sum()
    return weights
