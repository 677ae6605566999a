from __future__ import annotations

import cv2
import numpy as np

from train.data.acquisition_style import sampling_weights, style_chances, style_numbers


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


def test_both_classes_weigh_the_same_and_images_that_speak_against_their_style_weigh_more() -> None:
    labels = np.array([0, 0, 0, 1])
    weights = sampling_weights(labels, np.array([0.9, 0.9, 0.1, 0.5]), 0.5)
    assert weights[labels == 0].sum() == weights[labels == 1].sum() == 0.5
    np.testing.assert_allclose(weights[2] / weights[0], np.sqrt(9.0))


def test_without_power_only_the_classes_are_balanced() -> None:
    np.testing.assert_allclose(sampling_weights(np.array([0, 1, 1]), None, 0.0), [0.5, 0.25, 0.25])
