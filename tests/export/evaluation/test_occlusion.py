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

SIDE, SQUARES = 160, 5
SQUARE = SIDE // SQUARES
COUNT = 30
NAMES = [str(index) for index in range(COUNT)]
MASKS = arrays(bool, (SQUARES, SQUARES))


def images() -> np.ndarray:
    """Noise about 60 with one bright square, not in the uppermost row or left column, uint8 (n, 160, 160)."""
    random = np.random.default_rng(0)
    drawn = random.normal(60, 8, (COUNT, SIDE, SIDE))
    for image, (row, column) in zip(drawn, random.integers(1, SQUARES, (COUNT, 2)), strict=True):
        image[row * SQUARE : (row + 1) * SQUARE, column * SQUARE : (column + 1) * SQUARE] += 100
    return np.clip(drawn, 0, 255).astype(np.uint8)


def evidence(batch: np.ndarray) -> np.ndarray:
    """Return by how much each square is brighter than 80, float32 (n, 5, 5): what the honest network adds up."""
    squares = batch.reshape(-1, SQUARES, SQUARE, SQUARES, SQUARE).mean(axis=(2, 4))
    return np.maximum(squares - 80, 0).astype(np.float32)


def honest(batch: np.ndarray) -> np.ndarray:
    return evidence(batch).sum(axis=(1, 2)).astype(np.float64)


def corner(batch: np.ndarray) -> np.ndarray:
    """Classify by the upper left square alone, whatever a map shows."""
    return batch[:, :SQUARE, :SQUARE].mean(axis=(1, 2))


def run(classify: object, maps: np.ndarray, **options: object) -> Occlusion:
    return occlusion(classify, images(), maps, NAMES, share=0.04, **options)  # type: ignore[arg-type]


def ends(interval: Estimate) -> tuple[float, float, float]:
    assert interval.value is not None
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.value, interval.high


def test_a_network_that_looks_where_its_map_says_passes() -> None:
    result = run(honest, evidence(images()))
    low, value, _ = ends(result.difference)
    assert result.n == COUNT
    assert low > 0.7 * value > 30
    assert result.more_often == 1
    assert result.p_value < 1e-5


def test_a_network_that_looks_elsewhere_than_its_map_says_fails() -> None:
    """The map is right but shifted by two squares, so that only grey is hidden."""
    result = run(honest, np.roll(evidence(images()), 2, axis=(1, 2)))
    assert ends(result.difference)[1] < 0
    assert result.p_value > 0.5


def test_a_network_that_always_looks_at_one_corner_fails() -> None:
    """The bright squares never lie in that corner, so hiding them takes nothing from it; the control sometimes does."""
    result = run(corner, evidence(images()))
    assert ends(result.brightest) == pytest.approx((0, 0, 0))
    assert result.more_often < 0.5
    assert result.p_value > 0.05


def test_a_network_that_ignores_the_image_is_reported_as_such() -> None:
    result = run(lambda batch: np.ones(len(batch)), evidence(images()))
    assert (result.p_value, result.more_often) == (1, 0)
    assert ends(result.difference) == (0, 0, 0)


def test_the_p_value_is_wilcoxons_by_hand() -> None:
    """Eight images, all of whose drops are larger for the brightest part: of 2^8 signs one is as extreme."""
    result = occlusion(honest, images()[:8], evidence(images()[:8]), NAMES[:8], share=0.04)
    assert result.more_often == 1
    assert result.p_value == pytest.approx(1 / 2**8)


def test_copies_of_a_patients_image_do_not_narrow_the_intervals() -> None:
    once = run(honest, evidence(images()))
    assert ends(once.difference)[1] == pytest.approx(ends(once.brightest)[1] - ends(once.elsewhere)[1])
    pairs = np.repeat(images(), 2, axis=0)
    twice = occlusion(honest, pairs, evidence(pairs), np.repeat(NAMES, 2).tolist(), share=0.04)
    assert ends(twice.brightest) == pytest.approx(ends(once.brightest))


def test_the_same_seed_hides_the_same() -> None:
    maps = evidence(images())
    assert run(honest, maps) == run(honest, maps)
    assert run(honest, maps, seed=1).elsewhere != run(honest, maps).elsewhere


@given(arrays(np.float32, (5, 5), elements=st.floats(-9, 9, width=32)), st.floats(0.001, 1))
def test_the_brightest_part_is_brighter_than_the_rest(evidence_map: np.ndarray, share: float) -> None:
    mask = brightest(evidence_map, share)
    assert mask.sum() == max(1, round(25 * share))
    if not mask.all():
        assert evidence_map[mask].min() >= evidence_map[~mask].max()


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
def test_a_uniform_image_stays_as_it_is(grey: int, mask: np.ndarray) -> None:
    image = np.full((60, 60), grey, np.uint8)
    if not mask.all():
        np.testing.assert_array_equal(hidden(image, mask), image)


@pytest.mark.parametrize("share", [0.04, 0.1, 0.3])
def test_the_control_hides_as_much_in_another_place(share: float) -> None:
    """Every batch is recorded: the images, their brightest parts hidden, and then the draws."""
    batches: list[np.ndarray] = []

    def classify(batch: np.ndarray) -> np.ndarray:
        batches.append(batch)
        return honest(batch)

    speckled = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE)).astype(np.uint8)
    maps = np.random.default_rng(1).normal(size=(4, SQUARES, SQUARES)).astype(np.float32)
    occlusion(classify, speckled, maps, NAMES[:4], share=share, draws=3)
    plain, *masked = batches
    brightest_hidden, *controls = [changed_squares(plain, batch) for batch in masked]
    for control in controls:
        np.testing.assert_array_equal(control.sum(axis=(1, 2)), brightest_hidden.sum(axis=(1, 2)))
        assert (control != brightest_hidden).any(axis=(1, 2)).all()


def changed_squares(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after).reshape(-1, SQUARES, SQUARE, SQUARES, SQUARE).any(axis=(2, 4))
