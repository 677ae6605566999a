from __future__ import annotations

import numpy as np

from train.augmentation.corruptions import corrupted_copies


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(40, 200, (count, 32, 32)).astype(np.uint8)


def test_each_image_has_as_many_corrupted_copies_as_asked_for() -> None:
    copies, rows = corrupted_copies(images(5), 3)
    assert copies.shape == (15, 32, 32)
    assert rows.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert np.mean([(form != images(5)[index]).any() for form, index in zip(copies, rows, strict=True)]) > 0.8


def test_every_network_is_measured_on_the_same_copies() -> None:
    np.testing.assert_array_equal(corrupted_copies(images(4), 2)[0], corrupted_copies(images(4), 2)[0])


def test_none_asked_for_are_none() -> None:
    copies, rows = corrupted_copies(images(4), 0)
    assert (copies.shape, len(rows)) == ((0, 32, 32), 0)
