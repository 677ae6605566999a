from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from train.augmentation.corruptions import (
    CORRUPTIONS,
    DENSITY,
    STRENGTHS,
    corrupt,
    corrupted_copies,
)

SIDE = 224
IMAGES = arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(64, 96), st.integers(64, 96)))
ALIKE = {"rotation": 0.3, "scale": 0.3, "collimation": 0.7, "marker": 0.03}
"""Least likeness of what strengths 2 and 3 of one fault change; text of another size hardly covers itself."""


def chest(seed: int = 0) -> np.ndarray:
    """A ramp with two dark fields, ribs and a little noise, uint8 (224, 224): grey in the middle of the range."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    lungs = (np.hypot(rows - 112, columns - 70) < 45) | (np.hypot(rows - 112, columns - 154) < 45)
    ribs = 12 * np.sin(2 * np.pi * rows / 18)
    noise = np.random.default_rng(seed).normal(0, 1.5, (SIDE, SIDE))
    return np.clip(100 + 60 * rows / SIDE - 40 * lungs + ribs + noise, 0, 255).astype(np.uint8)


def flat(grey: int) -> np.ndarray:
    return np.full((1, SIDE, SIDE), grey, np.uint8)


def distance(name: str, strength: int) -> float:
    image = chest()[None]
    return float(np.abs(corrupt(image, name, strength).astype(int) - image).mean())


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    return float((first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum()))


@pytest.mark.parametrize("name", CORRUPTIONS)
@settings(max_examples=8, deadline=None)
@given(images=IMAGES, strength=st.sampled_from(STRENGTHS), seed=st.integers(0, 5))
def test_shape_and_type_stay_and_the_given_images_are_not_touched(
    name: str, images: np.ndarray, strength: int, seed: int
) -> None:
    before = images.copy()
    corrupted = corrupt(images, name, strength, seed=seed)
    assert corrupted.shape == images.shape
    assert corrupted.dtype == np.uint8
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_order_and_company_change_nothing(name: str) -> None:
    images = np.stack([chest(seed) for seed in range(4)])
    together = corrupt(images, name, 2)
    np.testing.assert_array_equal(corrupt(images[::-1], name, 2)[::-1], together)
    np.testing.assert_array_equal(corrupt(images[2:3], name, 2)[0], together[2])


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_stronger_fault_changes_more_and_every_fault_something(name: str) -> None:
    weak, middle, strong = (distance(name, strength) for strength in STRENGTHS)
    assert 0 < weak < middle < strong


@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - {"contrast", "blur", "sharpening", "jpeg"}))
def test_another_seed_draws_another_fault_but_a_stronger_one_is_the_same_drawn_out(name: str) -> None:
    image = chest()[None]
    seeds = [corrupt(image, name, 2, seed=seed).astype(int) - image for seed in range(8)]
    assert len({drawn.tobytes() for drawn in seeds}) > 1
    likeness = [
        cosine(drawn, corrupt(image, name, 3, seed=seed).astype(int) - image) for seed, drawn in enumerate(seeds)
    ]
    assert min(likeness) > ALIKE.get(name, 0.9)


@pytest.mark.parametrize("grey", [40, 100, 180])
@pytest.mark.parametrize(("strength", "photons"), [(1, 8000), (2, 2500), (3, 800)])
def test_noise_is_that_of_so_many_photons(grey: int, strength: int, photons: int) -> None:
    """Against a plain simulation: photons are counted (Poisson) and their logarithm is the grey."""
    expected = photons * np.exp(-grey / 255 * DENSITY)
    counted = np.random.default_rng(0).poisson(expected, 100_000)
    simulated = (-255 / DENSITY * np.log(np.maximum(counted, 1) / photons)).std()
    rounding = 1 / 12
    corrupted = corrupt(flat(grey), "quantum noise", strength).astype(float)
    assert corrupted.std() == pytest.approx(np.sqrt(simulated**2 + rounding), rel=0.08)
    assert corrupted.mean() == pytest.approx(grey, abs=0.2)


@pytest.mark.parametrize(("strength", "share"), [(1, 0.05), (2, 0.10), (3, 0.15)])
def test_shutters_blacken_two_sides(strength: int, share: float) -> None:
    black = corrupt(flat(100), "collimation", strength)[0] == 0
    band = int(share * SIDE)
    sides = [black[:band].all(), black[-band:].all(), black[:, :band].all(), black[:, -band:].all()]
    assert sum(sides) == 2
    assert black.sum() in {2 * band * SIDE, 2 * band * SIDE - band**2}


@pytest.mark.parametrize(("strength", "step"), [(1, 15), (2, 30), (3, 45)])
def test_exposure_moves_every_grey_value_alike_and_both_ways_occur(strength: int, step: int) -> None:
    moves = {int(corrupt(flat(grey), "exposure", strength)[0, 0, 0]) - grey for grey in range(100, 130)}
    assert moves == {-step, step}


@pytest.mark.parametrize("name", ["blur", "motion"])
def test_unsharpness_keeps_the_grey_and_takes_the_detail(name: str) -> None:
    image = chest()[None]
    corrupted = corrupt(image, name, 3).astype(float)
    assert corrupted.mean() == pytest.approx(image.mean(), abs=0.3)
    assert np.abs(np.diff(corrupted[0], axis=0)).mean() < 0.7 * np.abs(np.diff(image[0].astype(float), axis=0)).mean()


def test_sharpening_adds_detail_where_blur_takes_it() -> None:
    image = chest()[None]
    detail = {name: corrupt(image, name, 1).astype(float).std() for name in ("sharpening", "blur")}
    assert detail["blur"] < image.astype(float).std() < detail["sharpening"]


@pytest.mark.parametrize("strength", STRENGTHS)
def test_letter_and_words_are_whole_in_an_upper_corner(strength: int) -> None:
    blank = [flat(grey) for grey in range(40, 60)]
    places = set()
    for image in blank:
        written = np.flatnonzero((corrupt(image, "marker", strength)[0] != image[0]).any(axis=0))
        lines = np.flatnonzero((corrupt(image, "marker", strength)[0] != image[0]).any(axis=1))
        assert lines.max() < SIDE / 3
        assert written.min() > 0
        assert written.max() < SIDE - 1
        places.add(bool(written.mean() < SIDE / 2))
    assert places == {False, True}


def test_what_is_no_fault_is_an_error() -> None:
    with pytest.raises(KeyError):
        corrupt(flat(1), "sunshine", 1)


def random_images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(40, 200, (count, 32, 32)).astype(np.uint8)


def test_each_image_has_as_many_corrupted_copies_as_asked_for() -> None:
    copies, rows = corrupted_copies(random_images(5), 3)
    assert copies.shape == (15, 32, 32)
    assert rows.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert np.mean([(form != random_images(5)[index]).any() for form, index in zip(copies, rows, strict=True)]) > 0.8


def test_every_network_is_measured_on_the_same_copies() -> None:
    np.testing.assert_array_equal(corrupted_copies(random_images(4), 2)[0], corrupted_copies(random_images(4), 2)[0])


def test_none_asked_for_are_none() -> None:
    copies, rows = corrupted_copies(random_images(4), 0)
    assert (copies.shape, len(rows)) == ((0, 32, 32), 0)
