from __future__ import annotations

import cv2
import numpy as np

from train.data.acquisition_style import acquisition_style_features, style_chances


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
