from __future__ import annotations

import cv2
import numpy as np

from train.data.acquisition_style import style_chances, style_numbers


def blurred_noise(count: int, sigma: float, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    noise = random.integers(0, 256, (count, 96, 96)).astype(np.uint8)
    return np.stack([cv2.GaussianBlur(one, (0, 0), sigma) for one in noise])


def patients(count: int) -> tuple[str, ...]:
    return tuple(f"p{index}" for index in range(count))


def test_style_is_a_row_of_finite_numbers_for_each_image() -> None:
    found = style_numbers(np.concatenate([blurred_noise(2, 1.0, 0), np.zeros((1, 96, 96), np.uint8)]))
    assert found.shape == (3, 24)
    assert np.isfinite(found).all()


def test_sharpness_that_goes_with_the_label_betrays_it() -> None:
    images = np.concatenate([blurred_noise(30, 1.0, 0), blurred_noise(30, 2.0, 1)])
    labels = np.repeat([0, 1], 30)
    assert style_chances(images, labels, patients(60), 0).mean() > 0.95


def test_sharpness_that_does_not_go_with_the_label_does_not() -> None:
    images = blurred_noise(60, 1.0, 0)
    assert style_chances(images, np.tile([0, 1], 30), patients(60), 0).mean() < 0.7
