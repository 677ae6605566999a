from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from train.data.dataset import read_rows
from train.data.duplicates import (
    MIN_SIMILARITY,
    clusters,
    find_pairs,
    same_value,
)
from train.data.images import read_images
from train.recipe import DataSection

Image = np.ndarray


def drawn_image(seed: int) -> Image:
    """Two dark lungs, ribs and fine structure of its own: images share the first and differ in the rest."""
    random = np.random.default_rng(seed)
    down, right = np.mgrid[0:224, 0:224].astype(np.float32)
    image = np.full((224, 224), 170, np.float32)
    for middle in (70, 154):
        image -= 90 / (1 + np.exp((np.hypot((right - middle) / 38, (down - 110) / 75) - 1) * 12))
    ribs = random.uniform(17, 24)
    image += 9 * np.sin(2 * np.pi * (down + np.abs(right - 112) * random.uniform(0.2, 0.5)) / ribs)
    for sigma, strength in ((2, 9), (4, 12), (10, 12)):
        cloud = cv2.GaussianBlur(random.normal(size=image.shape).astype(np.float32), (0, 0), sigma)
        image += strength * cloud / cloud.std()
    return np.clip(image, 0, 255).astype(np.uint8)


def cropped(image: Image) -> Image:
    return cv2.resize(image[5:216, 9:220], (224, 224), interpolation=cv2.INTER_AREA)


def turned(image: Image) -> Image:
    return cv2.warpAffine(image, cv2.getRotationMatrix2D((112, 112), 3, 1), (224, 224))


def marked(image: Image) -> Image:
    return cv2.putText(image.copy(), "day 4", (110, 205), cv2.FONT_HERSHEY_SIMPLEX, 1, 255, 3)


ALTERATIONS: dict[str, Callable[[Image], Image]] = {
    "the same": lambda image: image.copy(),
    "brighter": lambda image: (255 * (image / 255) ** 0.6).astype(np.uint8),
    "blurred": lambda image: cv2.GaussianBlur(image, (0, 0), 1.5),
    "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
    "cropped": cropped,
    "mirrored and cropped": lambda image: cropped(np.ascontiguousarray(image[:, ::-1])),
    "turned": turned,
    "with text on it": marked,
}


@pytest.fixture(scope="module")
def images() -> Image:
    return np.stack([drawn_image(seed) for seed in range(12)])


@pytest.mark.parametrize("how", ALTERATIONS)
def test_a_copy_is_found(images: Image, how: str) -> None:
    (pair,) = find_pairs(np.concatenate([images, ALTERATIONS[how](images[4])[None]]))
    assert (pair.first, pair.second) == (4, 12)
    assert pair.mirrored == ("mirrored" in how)
    assert MIN_SIMILARITY <= pair.similarity <= 1.0 + 1e-6


def test_images_of_different_people_are_no_pairs(images: Image) -> None:
    assert find_pairs(images) == ()


def test_what_different_images_share_would_make_pairs_if_coarse_structure_sufficed(images: Image) -> None:
    coarse = [cv2.GaussianBlur(image, (0, 0), 8).ravel() for image in images]
    assert np.median(np.corrcoef(coarse)) > MIN_SIMILARITY


def test_empty_images_and_a_single_one_are_no_pairs() -> None:
    assert find_pairs(np.zeros((4, 224, 224), np.uint8)) == ()
    assert find_pairs(np.stack([drawn_image(0)])) == ()


def test_progress_ends_at_the_whole(images: Image) -> None:
    progress: list[tuple[int, int]] = []
    find_pairs(images[:3], on_step=lambda done, of: progress.append((done, of)))
    assert progress[-1][0] == progress[-1][1]


def test_links_join_images_into_clusters_in_order_of_place() -> None:
    assert clusters(6, [(5, 1), (1, 3)]).tolist() == [0, 1, 2, 1, 3, 1]
    assert clusters(3, []).tolist() == [0, 1, 2]


def test_equal_values_are_linked_and_blanks_are_not() -> None:
    assert same_value(["a", "", "b", "a", "", "a"]) == [(0, 3), (3, 5)]


def test_no_two_patients_of_the_shared_images_are_taken_for_one(shared_data: Path) -> None:
    folder = shared_data / "paediatric"
    rows = read_rows(folder / "manifest.csv", DataSection())[:400]
    images = np.stack([read[0] for read in read_images([folder / row.file for row in rows])])
    pairs = find_pairs(images)
    assert not [pair for pair in pairs if rows[pair.first].patient != rows[pair.second].patient]
