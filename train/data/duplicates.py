"""Find near-duplicates: pairs of images of one and the same exposure, and the clusters they form.

A collection gathered from several sources holds some exposures twice: cropped, mirrored, brightened, scaled, or with an
arrow drawn on them. One copy in training and the other in the test part flatters the network. Images are compared by
coarse structure first, each against windows of all others and their mirror images; then the few most similar pairs by
fine detail, after an affine alignment. Images of two patients agree in coarse structure and not in detail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Images = NDArray[np.uint8]
Floats = NDArray[np.float32]

MIN_SIMILARITY = 0.8
"""Correlation of fine detail from which on two images are taken for one exposure."""
NEAREST = 3
"""So many coarse neighbours of each image are compared in detail."""
COARSE = 0.6
"""Neighbours below this correlation of coarse structure are not compared in detail."""
BASE, CODE, ALIGNED, DETAIL = 96, 24, 64, 112
"""Sides in pixels of the images from which windows are cut, of the coarse code, for alignment and for detail."""
Window = tuple[float, float, float]
CORNERS = ((0.5, 0.5), (0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))
WINDOWS: tuple[Window, ...] = ((1.0, 0.5, 0.5), *((side, *corner) for side in (0.94, 0.88) for corner in CORNERS))
"""What a cropped copy may have kept: the share of the side, and the position of the window in the image."""
ECC = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 1e-4)
EVERYWHERE = np.full((ALIGNED, ALIGNED), 255, np.uint8)
STRETCH = (0.7, 1.4)
"""An alignment that stretches by less or more than this has failed."""
BLOCK = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two images by their indices, `first` below `second`; `similarity` is the correlation of their detail."""

    first: int
    second: int
    similarity: float
    mirrored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """Image `whole` may show what `window` of image `part_of` shows; `coarse` is their correlation."""

    part_of: int
    whole: int
    window: Window
    mirrored: bool
    coarse: float


def find_pairs(images: Images, *, on_step: Callable[[int, int], None] = lambda *_: None) -> tuple[Pair, ...]:
    """Return the near-duplicates among images uint8 (n, side, side), ordered. `on_step(done, of)` reports progress."""
    if len(images) < 2:
        return ()
    candidates: dict[tuple[int, int], _Candidate] = {}
    with ThreadPoolExecutor() as pool:
        bases = list(pool.map(_base, images))
        codes = np.array([_code(base) for base in bases], np.float32)
        steps = len(WINDOWS) + 1
        for done, window in enumerate(WINDOWS, start=1):
            cut = list(pool.map(lambda base, window=window: _code(_cut(base, window)), bases))
            for candidate in _nearest(np.array(cut, np.float32), codes, window):
                _keep_best(candidates, candidate)
            on_step(done, steps)
        likely = _most_similar(candidates.values(), len(images))
        similarities = list(pool.map(lambda candidate: similarity(images, candidate), likely))
        on_step(steps, steps)
    pairs = {
        _ends(candidate): (value, candidate)
        for value, candidate in sorted(zip(similarities, likely, strict=True), key=_value)
    }
    return tuple(
        Pair(first=first, second=second, similarity=value, mirrored=candidate.mirrored)
        for (first, second), (value, candidate) in sorted(pairs.items())
        if value >= MIN_SIMILARITY
    )


def clusters(count: int, links: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    """Return the cluster (count,) of each image, numbered from 0 in order; images joined by `links` share one."""
    ends = np.array([*links], np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    _, components = connected_components(graph, directed=False)
    _, first, number = np.unique(components, return_index=True, return_inverse=True)
    places: NDArray[np.int64] = np.argsort(np.argsort(first))[number].astype(np.int64)
    return places


def same_value(values: Sequence[str]) -> list[tuple[int, int]]:
    """Return links between images with equal values that are not blank, such as those of one patient."""
    last: dict[str, int] = {}
    links = []
    for place, value in enumerate(values):
        if value and value in last:
            links.append((last[value], place))
        last[value] = place
    return links


def _value(item: tuple[float, _Candidate]) -> float:
    return item[0]


def _ends(candidate: _Candidate) -> tuple[int, int]:
    return min(candidate.part_of, candidate.whole), max(candidate.part_of, candidate.whole)


def _base(image: NDArray[np.uint8]) -> Floats:
    """Return structure alone: local brightness and contrast are normalized."""
    grey = cv2.resize(image, (BASE, BASE), interpolation=cv2.INTER_AREA).astype(np.float32)
    rough = grey - cv2.GaussianBlur(grey, (0, 0), 10)
    base: Floats = rough / (np.sqrt(cv2.GaussianBlur(rough * rough, (0, 0), 10)) + 2)
    return base


def _code(base: Floats) -> Floats:
    small = cv2.resize(cv2.GaussianBlur(base, (0, 0), 2), (CODE, CODE), interpolation=cv2.INTER_AREA).ravel()
    centred = small.astype(np.float32) - np.float32(small.mean())
    code: Floats = centred / np.float32(np.linalg.norm(centred) + 1e-6)
    return code


def _cut(base: Floats, window: Window) -> Floats:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(base, _warp(window, BASE, mirrored=False), (BASE, BASE), flags=flags), np.float32)


def _warp(window: Window, side: int, *, mirrored: bool) -> Floats:
    """Return the affine map, float32 (2, 3), from pixels of the enlarged window to those of an image of `side`."""
    share, right, down = window
    corner = (1 - share) * side * np.array([right, down]) + (share - 1) / 2
    warp = np.array([[share, 0, corner[0]], [0, share, corner[1]]])
    flip = np.array([[-1, 0, side - 1], [0, 1, 0], [0, 0, 1]]) if mirrored else np.eye(3)
    return (warp @ flip).astype(np.float32)


def _nearest(cut: Floats, codes: Floats, window: Window) -> Iterable[_Candidate]:
    """Yield the most similar whole images of each image's window, and of the window's mirror image."""
    flipped = cut.reshape(-1, CODE, CODE)[:, :, ::-1].reshape(cut.shape)
    for mirrored, views in ((False, cut), (True, flipped)):
        for start in range(0, len(views), BLOCK):
            match = views[start : start + BLOCK] @ codes.T
            own = np.arange(len(match))
            match[own, start + own] = -1
            nearest = np.argpartition(match, -min(NEAREST, match.shape[1]), axis=1)[:, -NEAREST:]
            for row, columns in enumerate(nearest):
                for column in columns:
                    if match[row, column] >= COARSE:
                        yield _Candidate(
                            part_of=start + row,
                            whole=int(column),
                            window=window,
                            mirrored=mirrored,
                            coarse=float(match[row, column]),
                        )


def _keep_best(candidates: dict[tuple[int, int], _Candidate], candidate: _Candidate) -> None:
    held = candidates.get((candidate.part_of, candidate.whole))
    if held is None or held.coarse < candidate.coarse:
        candidates[candidate.part_of, candidate.whole] = candidate


def _most_similar(candidates: Iterable[_Candidate], count: int) -> list[_Candidate]:
    """Return the NEAREST of each image, the most similar first."""
    kept: list[_Candidate] = []
    taken = np.zeros(count, np.int64)
    for candidate in sorted(candidates, key=lambda candidate: (-candidate.coarse, candidate.part_of, candidate.whole)):
        if taken[candidate.part_of] < NEAREST:
            taken[candidate.part_of] += 1
            kept.append(candidate)
    return kept


def similarity(images: Images, candidate: _Candidate) -> float:
    """Return the correlation of fine detail after alignment; 0 where the images cannot be aligned.

    Alignment by enhanced correlation, Evangelidis and Psarakis (2008).
    """
    first, second = images[candidate.part_of], images[candidate.whole]
    warp = _warp(candidate.window, ALIGNED, mirrored=candidate.mirrored)
    try:
        _, aligned = cv2.findTransformECC(_soft(second), _soft(first), warp, cv2.MOTION_AFFINE, ECC, EVERYWHERE, 3)
    except cv2.error:  # it does not converge on images that differ
        return 0.0
    warp = np.asarray(aligned, np.float32)
    stretch = np.linalg.svd(warp[:, :2].astype(np.float64), compute_uv=False)
    if not (STRETCH[0] < stretch.min() and stretch.max() < STRETCH[1]):
        return 0.0
    return _detail_correlation(first, second, _enlarged(warp))


def _enlarged(warp: Floats) -> Floats:
    """Return the same alignment at DETAIL pixels; pixel centres, not corners, are whole numbers."""
    scale = DETAIL / ALIGNED
    middle = np.full(2, (scale - 1) / 2)
    shift = scale * warp[:, 2] + middle - warp[:, :2] @ middle
    return np.column_stack([warp[:, :2], shift]).astype(np.float32)


def _soft(image: NDArray[np.uint8]) -> Floats:
    grey = cv2.resize(image, (ALIGNED, ALIGNED), interpolation=cv2.INTER_AREA).astype(np.float32)
    soft: Floats = grey - cv2.GaussianBlur(grey, (0, 0), 8)
    return soft


def _detail(image: NDArray[np.uint8]) -> Floats:
    grey = cv2.resize(image, (DETAIL, DETAIL), interpolation=cv2.INTER_AREA).astype(np.float32)
    fine = cv2.GaussianBlur(grey, (0, 0), 0.7) - cv2.GaussianBlur(grey, (0, 0), 4)
    detail: Floats = fine / (np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), 8)) + 1)
    return detail


def _detail_correlation(first: NDArray[np.uint8], second: NDArray[np.uint8], warp: Floats) -> float:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(_detail(first), warp, (DETAIL, DETAIL), flags=flags, borderValue=np.nan)
    inside = np.isfinite(moved)
    if inside.mean() < 0.5:
        return 0.0
    a, b = moved[inside].astype(np.float64), _detail(second)[inside].astype(np.float64)
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / (np.sqrt((a @ a) * (b @ b)) + 1e-9))
