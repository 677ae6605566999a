from __future__ import annotations

import cv2
import numpy as np

from train.data.acquisition_style import acquisition_style_features, sampling_weights, style_chances


def blurred_noise(count: int, sigma: float, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    noise = random.integers(0, 256, (count, 96, 96)).astype(np.uint8)
    return np.stack([cv2.GaussianBlur(one, (0, 0), sigma) for one in noise])


def patients(count: int) -> tuple[str, ...]:
    return tuple(f"p{index}" for index in range(count))


def test_style_is_a_row_of_finite_numbers_for_each_image() -> None:
    features = acquisition_style_features(np.concatenate([blurred_noise(2, 1.0, 0), np.zeros((1, 96, 96), np.uint8)]))
    assert features.shape == (3, 24)
    assert np.isfinite(features).all()


def test_sharpness_that_differs_by_label_predicts_it() -> None:
    images = np.concatenate([blurred_noise(30, 1.0, 0), blurred_noise(30, 2.0, 1)])
    labels = np.repeat([0, 1], 30)
    assert style_chances(images, labels, patients(60), 0).mean() > 0.95


def test_sharpness_that_does_not_differ_by_label_does_not_predict_it() -> None:
    images = blurred_noise(60, 1.0, 0)
    assert style_chances(images, np.tile([0, 1], 30), patients(60), 0).mean() < 0.7


def test_the_classes_weigh_the_same_and_images_that_contradict_their_style_weigh_more() -> None:
    labels = np.array([0, 0, 0, 1])
    weights = sampling_weights(labels, np.array([0.9, 0.9, 0.1, 0.5]), 0.5)
    assert weights[labels == 0].sum() == weights[labels == 1].sum() == 0.5
    np.testing.assert_allclose(weights[2] / weights[0], np.sqrt(9.0))


def test_without_power_only_the_classes_are_balanced() -> None:
    np.testing.assert_allclose(sampling_weights(np.array([0, 1, 1]), None, 0.0), [0.5, 0.25, 0.25])
