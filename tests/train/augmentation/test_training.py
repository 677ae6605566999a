from __future__ import annotations

import numpy as np
import pytest

from train.augmentation.training import POLICIES, changed


def image(seed: int) -> np.ndarray:
    rows, columns = np.mgrid[:224, :224]
    random = np.random.default_rng(seed)
    return np.clip(rows * 0.6 + columns * 0.3 + random.normal(0, 8, (224, 224)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("change", [change for change, _ in POLICIES["exposure"]], ids=lambda change: change.__name__)
def test_each_change_gives_an_image_of_the_same_form_that_differs(change: object) -> None:
    before = image(0)
    assert callable(change)
    darker = image(1) // 2
    after = change(before, darker, np.random.default_rng(3))
    assert (after.shape, after.dtype) == (before.shape, np.uint8)
    assert (after != before).mean() > 0.001
    np.testing.assert_array_equal(before, image(0))


def test_the_same_randomness_gives_the_same_image_and_other_randomness_another() -> None:
    first, again, other = (changed("exposure", image(0), image(1), np.random.default_rng(s)) for s in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_no_policy_leaves_the_image_alone() -> None:
    np.testing.assert_array_equal(changed("none", image(0), image(1), np.random.default_rng(0)), image(0))
