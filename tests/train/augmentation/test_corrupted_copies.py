from __future__ import annotations

import numpy as np

from train.augmentation.worse_exposures import corrupted_copies


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(40, 200, (count, 32, 32)).astype(np.uint8)


def test_each_image_comes_in_as_many_worse_forms_as_asked_for() -> None:
    worse, whose = corrupted_copies(images(5), 3)
    assert worse.shape == (15, 32, 32)
    assert whose.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert np.mean([(form != images(5)[index]).any() for form, index in zip(worse, whose, strict=True)]) > 0.8


def test_every_network_is_judged_on_the_same_forms() -> None:
    np.testing.assert_array_equal(corrupted_copies(images(4), 2)[0], corrupted_copies(images(4), 2)[0])


def test_none_asked_for_are_none() -> None:
    worse, whose = corrupted_copies(images(4), 0)
    assert (worse.shape, len(whose)) == ((0, 32, 32), 0)
