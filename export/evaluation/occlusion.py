"""Occlusion: images and their evidence maps come in; whether hiding what the map shows lowers the score goes out.

The control hides a patch of the same shape elsewhere in the image, so that only the position differs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from metrics.estimates import Estimate, Floats
from metrics.intervals import bootstrap_mean

Images = NDArray[np.uint8]
SHARE = 0.1
DRAWS = 5
FILL_SIGMA = 24.0
"""Pixels. Hidden parts take the image's own grey from so far around, so no edge appears."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occlusion:
    """Of n images, mean drops of the logit; `difference` is brightest minus elsewhere, `p_value` Wilcoxon's, one-sided.

    `more_often` is the share of images whose drop is larger for the brightest part.
    """

    n: int
    brightest: Estimate | None
    elsewhere: Estimate | None
    difference: Estimate | None
    p_value: float
    more_often: float


def occlusion(
    classify: Callable[[Images], Floats],
    images: Images,
    maps: NDArray[np.float32],
    patients: Sequence[str],
    *,
    share: float = SHARE,
    draws: int = DRAWS,
    seed: int = 0,
) -> Occlusion:
    """`classify` takes images uint8 (n, rows, columns) and returns logits (n,); `maps` are (n, side, side).

    Hides the `share` of positions with most evidence, against `draws` shifts of the same pattern.
    """
    random = np.random.default_rng(seed)
    masks = np.stack([brightest(evidence, share) for evidence in maps])
    before = classify(images)
    drop = before - classify(_hidden_all(images, masks))
    moved = [before - classify(_hidden_all(images, _shifted(masks, random))) for _ in range(draws)]
    control: Floats = np.mean(moved, axis=0)
    gaps = drop - control
    p_value = float(wilcoxon(gaps, alternative="greater").pvalue) if np.any(gaps) else 1.0
    return Occlusion(
        n=len(images),
        brightest=bootstrap_mean(drop, patients),
        elsewhere=bootstrap_mean(control, patients),
        difference=bootstrap_mean(gaps, patients),
        p_value=p_value,
        more_often=float(np.mean(gaps > 0)),
    )


def brightest(evidence: NDArray[np.float32], share: float) -> NDArray[np.bool_]:
    """The `share` of positions with most evidence, at least one, bool like `evidence` (side, side)."""
    count = max(1, round(share * evidence.size))
    mask = np.zeros(evidence.size, bool)
    mask[np.argsort(-evidence, axis=None, kind="stable")[:count]] = True
    return mask.reshape(evidence.shape)


def hidden(image: Images, mask: NDArray[np.bool_]) -> Images:
    """Return `image` (rows, columns) with the masked part, bool (side, side), in the mean grey of its surroundings."""
    rows, columns = image.shape
    part = cv2.resize(mask.astype(np.uint8), (columns, rows), interpolation=cv2.INTER_NEAREST) > 0
    open_parts = (~part).astype(np.float32)
    grey = cv2.GaussianBlur(image * open_parts, (0, 0), FILL_SIGMA)
    fill = grey / np.maximum(cv2.GaussianBlur(open_parts, (0, 0), FILL_SIGMA), 1e-6)
    return np.where(part, np.clip(np.rint(fill), 0, 255), image).astype(np.uint8)


def _hidden_all(images: Images, masks: NDArray[np.bool_]) -> Images:
    return np.stack([hidden(image, mask) for image, mask in zip(images, masks, strict=True)])


def _shifted(masks: NDArray[np.bool_], random: np.random.Generator) -> NDArray[np.bool_]:
    """Shift each mask cyclically by a random step, never zero; what overlaps is hidden in both."""
    side = masks.shape[1] * masks.shape[2]
    moves = [np.unravel_index(random.integers(1, side), masks.shape[1:]) for _ in masks]
    return np.stack([np.roll(mask, move, axis=(0, 1)) for mask, move in zip(masks, moves, strict=True)])
