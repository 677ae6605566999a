from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from export.evaluation.occlusion import (
    Occlusion,
    brightest,
    hidden,
    occlusion,
)
from metrics.estimates import Estimate

SIDE, CELLS = 160, 5
CELL = SIDE // CELLS
COUNT = 30
NAMES = [str(index) for index in range(COUNT)]
MASKS = arrays(bool, (CELLS, CELLS))


def images() -> np.ndarray:
    """Noise about 60 with a bright square of one cell, not in the uppermost row or left column, uint8 (n, 160, 160)."""
    random = np.random.default_rng(0)
    found = random.normal(60, 8, (COUNT, SIDE, SIDE))
    for image, (row, column) in zip(found, random.integers(1, CELLS, (COUNT, 2)), strict=True):
        image[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] += 100
    return np.clip(found, 0, 255).astype(np.uint8)


def evidence(found: np.ndarray) -> np.ndarray:
    """What each cell is brighter than 80 by, float32 (n, 5, 5): all that the honest network adds up."""
    cells = found.reshape(-1, CELLS, CELL, CELLS, CELL).mean(axis=(2, 4))
    return np.maximum(cells - 80, 0).astype(np.float32)


def honest(found: np.ndarray) -> np.ndarray:
    return evidence(found).sum(axis=(1, 2)).astype(np.float64)


def corner(found: np.ndarray) -> np.ndarray:
    """Looks at the upper left cell only, whatever a map says."""
    return found[:, :CELL, :CELL].mean(axis=(1, 2))


def run(classify: object, maps: np.ndarray, **options: object) -> Occlusion:
    return occlusion(classify, images(), maps, NAMES, share=0.04, **options)  # type: ignore[arg-type]


def ends(interval: Estimate) -> tuple[float, float, float]:
    assert interval.value is not None
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.value, interval.high


def test_a_network_that_looks_where_its_map_says_passes() -> None:
    found = run(honest, evidence(images()))
    low, value, _ = ends(found.difference)
    assert found.n == COUNT
    assert low > 0.7 * value > 30
    assert found.more_often == 1
    assert found.p_value < 1e-5


def test_a_network_that_looks_elsewhere_than_its_map_says_fails() -> None:
    """The map is true but for its place: moved on by two cells, and so nothing but grey is hidden."""
    found = run(honest, np.roll(evidence(images()), 2, axis=(1, 2)))
    assert ends(found.difference)[1] < 0
    assert found.p_value > 0.5


def test_a_network_that_always_looks_at_one_corner_fails() -> None:
    """The bright squares never lie in that corner, so hiding them takes nothing from it; the control sometimes does."""
    found = run(corner, evidence(images()))
    assert ends(found.brightest) == pytest.approx((0, 0, 0))
    assert found.more_often < 0.5
    assert found.p_value > 0.05


def test_a_network_that_ignores_the_image_is_reported_as_such() -> None:
    found = run(lambda given: np.ones(len(given)), evidence(images()))
    assert (found.p_value, found.more_often) == (1, 0)
    assert ends(found.difference) == (0, 0, 0)


def test_the_p_value_is_wilcoxons_by_hand() -> None:
    """Eight images, all of whose drops are larger for the brightest part: of 2^8 signs one is as extreme."""
    found = occlusion(honest, images()[:8], evidence(images()[:8]), NAMES[:8], share=0.04)
    assert found.more_often == 1
    assert found.p_value == pytest.approx(1 / 2**8)


def test_copies_of_a_patients_image_do_not_narrow_the_intervals() -> None:
    once = run(honest, evidence(images()))
    assert ends(once.difference)[1] == pytest.approx(ends(once.brightest)[1] - ends(once.elsewhere)[1])
    twice = occlusion(
        honest, np.repeat(images(), 2, axis=0), evidence(np.repeat(images(), 2, axis=0)), np.repeat(NAMES, 2).tolist(),
        share=0.04,
    )  # fmt: skip
    assert ends(twice.brightest) == pytest.approx(ends(once.brightest))


def test_the_same_seed_hides_the_same() -> None:
    maps = evidence(images())
    assert run(honest, maps) == run(honest, maps)
    assert run(honest, maps, seed=1).elsewhere != run(honest, maps).elsewhere


@given(arrays(np.float32, (5, 5), elements=st.floats(-9, 9, width=32)), st.floats(0.001, 1))
def test_the_brightest_part_is_brighter_than_the_rest(found: np.ndarray, share: float) -> None:
    mask = brightest(found, share)
    assert mask.sum() == max(1, round(25 * share))
    if not mask.all():
        assert found[mask].min() >= found[~mask].max()


@settings(max_examples=20, deadline=None)
@given(arrays(np.uint8, (50, 70)), MASKS)
def test_only_the_hidden_part_changes(image: np.ndarray, mask: np.ndarray) -> None:
    out = hidden(image, mask)
    part = np.repeat(np.repeat(mask, 10, axis=0), 14, axis=1)
    np.testing.assert_array_equal(out[~part], image[~part])
    assert out.dtype == np.uint8
    if part.any() and not part.all():
        assert image[~part].min() <= out[part].min()
        assert out[part].max() <= image[~part].max()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 255), MASKS)
def test_an_image_of_one_grey_stays_as_it_is(grey: int, mask: np.ndarray) -> None:
    image = np.full((60, 60), grey, np.uint8)
    if not mask.all():
        np.testing.assert_array_equal(hidden(image, mask), image)


@pytest.mark.parametrize("share", [0.04, 0.1, 0.3])
def test_the_control_hides_as_much_in_another_place(share: float) -> None:
    """What the network sees is kept: the brightest part first, then the draws."""
    seen: list[np.ndarray] = []

    def classify(found: np.ndarray) -> np.ndarray:
        seen.append(found)
        return honest(found)

    speckled = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE)).astype(np.uint8)
    maps = np.random.default_rng(1).normal(size=(4, CELLS, CELLS)).astype(np.float32)
    occlusion(classify, speckled, maps, NAMES[:4], share=share, draws=3)
    plain, *masked = seen
    cells = [changed_cells(plain, found) for found in masked]
    for control in cells[1:]:
        np.testing.assert_array_equal(control.sum(axis=(1, 2)), cells[0].sum(axis=(1, 2)))
        assert (control != cells[0]).any(axis=(1, 2)).all()


def changed_cells(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after).reshape(-1, CELLS, CELL, CELLS, CELL).any(axis=(2, 4))
