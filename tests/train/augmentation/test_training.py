from __future__ import annotations

import numpy as np
import pytest

from train.augmentation.training import (
    CHANGES,
    augmented,
    band_energies,
    histogram,
    low_frequencies,
    reposition,
    with_acquisition_style,
)


def image(seed: int, noise: float = 8) -> np.ndarray:
    rows, columns = np.mgrid[:224, :224]
    random = np.random.default_rng(seed)
    return np.clip(rows * 0.6 + columns * 0.3 + random.normal(0, noise, (224, 224)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("change", [change for change, _ in CHANGES], ids=lambda change: change.__name__)
def test_each_change_gives_an_image_of_the_same_form_that_differs(change: object) -> None:
    before = image(0).astype(np.float32)
    assert callable(change)
    after = change(before, np.random.default_rng(3))
    assert (after.shape, after.dtype) == (before.shape, np.float32)
    assert (np.abs(after - before) > 0.5).mean() > 0.001
    np.testing.assert_array_equal(before, image(0).astype(np.float32))


def test_the_same_randomness_gives_the_same_image_and_other_randomness_another() -> None:
    first, again, other = (augmented(image(0), image(1), np.random.default_rng(s), side=96) for s in (5, 5, 6))
    assert (first.shape, first.dtype) == ((96, 96), np.uint8)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_histogram_becomes_the_donors() -> None:
    own, donor = image(0), image(1) // 2
    moved = histogram(own, donor, np.random.default_rng(0))
    percentiles = np.arange(5, 100, 5)
    np.testing.assert_allclose(np.percentile(moved, percentiles), np.percentile(donor, percentiles), atol=3)


def test_a_smooth_image_takes_the_grain_of_a_noisy_donor() -> None:
    own, donor = image(0, noise=4), image(1, noise=12)
    moved = band_energies(own, donor, np.random.default_rng(0))

    def grain(picture: np.ndarray) -> float:
        return float(np.diff(picture.astype(float), axis=1).std())

    assert grain(own) < 0.6 * grain(donor)
    assert grain(moved) == pytest.approx(grain(donor), rel=0.2)


def test_low_frequencies_come_from_the_donor_and_edges_stay() -> None:
    own, donor = image(0), np.full((224, 224), 200, np.uint8)
    own[100:, :] //= 2
    moved = low_frequencies(own, donor, np.random.default_rng(0))
    assert abs(float(moved.mean()) - 200) < 2
    jump = np.abs(np.diff(moved.mean(axis=1)))
    assert jump.argmax() == 99


def test_a_style_of_its_own_changes_an_image_little() -> None:
    own = image(0)
    moved = with_acquisition_style(own, own, np.random.default_rng(1))
    assert np.abs(moved.astype(int) - own).mean() < 3


def test_repositioned_images_keep_their_middle() -> None:
    own = np.zeros((224, 224), np.uint8)
    own[92:132, 92:132] = 255
    for seed in range(20):
        moved = reposition(own, np.random.default_rng(seed), 160)
        assert moved.shape == (160, 160)
        assert moved[70:90, 70:90].mean() > 100
