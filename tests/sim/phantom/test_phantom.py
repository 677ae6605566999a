"""The phantom: its physics has the right sign, a seed gives the same image, disease stays in its place."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from sim.phantom import Finding, View, draw_spec, render
from sim.phantom.chest import chest_anatomy
from sim.phantom.detector import FULL, Anatomy, attenuation, digitise, signal
from sim.phantom.disease import consolidate
from sim.phantom.grid import FIELD_CM, Samples, make_grid, project
from sim.phantom.sheet import write_sheet
from sim.phantom.spec import Lobe
from sim.phantom.torso import build_torso
from sim.phantom.tubes import ball

SIZE = 384


@pytest.fixture(scope="module")
def spec():
    return dataclasses.replace(draw_spec(11), collimation_cm=0.0, marker="", shift_x_cm=0.0, shift_y_cm=0.0)


@pytest.fixture(scope="module")
def anatomy(spec):
    return chest_anatomy(spec, SIZE)


def slab(**parts):
    nothing = np.zeros((64, 64), np.float32)
    return Anatomy(**{field.name: parts.get(field.name, nothing) for field in dataclasses.fields(Anatomy)})


def at(values, x_cm, y_cm):
    """Mean of a centimetre square."""
    n = len(values)
    column, row, half = (round((v / FIELD_CM + c) * n) for v, c in ((x_cm, 0.5), (y_cm, 0.5), (0.5, 0.0)))
    return float(values[row - half : row + half, column - half : column + half].mean())


def test_more_tissue_lets_fewer_rays_through():
    thickness = np.tile(np.linspace(1, 25, 64, dtype=np.float32), (64, 1))
    received = signal(attenuation(slab(body=thickness)), FIELD_CM / 64)
    assert (np.diff(received, axis=1) < 0).all()


def test_one_centimetre_of_soft_tissue_follows_beer_and_lambert():
    exponent = attenuation(slab(body=np.ones((64, 64), np.float32)))
    assert exponent == pytest.approx(0.2048 * 1.06)


def test_bone_stops_more_than_the_soft_tissue_it_replaces_and_lung_less():
    body = np.full((64, 64), 10, np.float32)
    plain = attenuation(slab(body=body)).mean()
    assert attenuation(slab(body=body, bone=np.ones_like(body))).mean() > plain
    assert attenuation(slab(body=body, lung=np.ones_like(body))).mean() < plain


def test_a_filled_lung_stops_as_much_as_soft_tissue():
    body, lung = np.full((64, 64), 20, np.float32), np.full((64, 64), 12, np.float32)
    filled = attenuation(slab(body=body, lung=lung, filled=np.ones_like(body)))
    assert filled == pytest.approx(attenuation(slab(body=body)), rel=1e-5)


def test_projection_keeps_the_volume_of_a_ball():
    grid = make_grid(256)
    thickness = project(grid, ball((3.0, -2.0, 0.0), 2.0, cortex_cm=0.0, spongy=1.0))
    assert thickness.sum() * grid.pixel_cm**2 == pytest.approx(4 / 3 * np.pi * 8, rel=1e-3)
    assert thickness.max() == pytest.approx(4.0, rel=0.15)


def test_points_off_the_detector_are_left_out():
    far = Samples(**{axis: np.full(3, 100.0, np.float32) for axis in ("x", "y", "z", "volume")})
    assert project(make_grid(64), far).sum() == 0


def test_lungs_are_dark_mediastinum_and_abdomen_white_and_air_black(spec):
    grey = render(spec, size=SIZE).grey()
    lung, middle, abdomen, corner = at(grey, -8, -4), at(grey, 0, 3), at(grey, -6, 16), at(grey, -20, -20)
    assert corner < 0.5 * lung
    assert lung < 0.7 * middle
    assert abdomen > 200


def test_the_right_dome_stands_higher_and_the_heart_points_to_the_left(spec):
    torso = build_torso(make_grid(SIZE), dataclasses.replace(spec, rotation_deg=0.0))
    assert at(torso.lung, -7, 9.5) < at(torso.lung, 7, 9.5)
    assert at(torso.lung, 6, 4.5) < at(torso.lung, -6, 4.5)


def test_the_same_seed_gives_the_same_image_and_another_seed_another():
    first, again, other = (render(draw_spec(seed, Finding.PATCHY), size=SIZE).pixels for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_with_and_without_disease_the_body_is_the_same():
    normal, lobar = draw_spec(9), draw_spec(9, Finding.LOBAR)
    assert dataclasses.replace(lobar, finding=Finding.NORMAL) == normal


@pytest.mark.parametrize("lobe", list(Lobe))
def test_a_lobar_consolidation_takes_signal_in_its_lobe_only(spec, anatomy, lobe):
    lobar = chest_anatomy(dataclasses.replace(spec, finding=Finding.LOBAR, lobe=lobe), SIZE)
    share = np.exp(-(attenuation(lobar) - attenuation(anatomy)))
    inside = (lobar.filled > 0.2) & (lobar.lung > 4)
    assert share[inside].mean() < 0.8
    assert np.allclose(share[lobar.filled == 0], 1, atol=1e-4)
    other_side = 1 if lobe.value.startswith("right") else -1
    assert at(lobar.filled, other_side * 8, 0) == 0


def test_patches_lie_in_both_lungs():
    grid = make_grid(SIZE)
    filled = consolidate(grid, draw_spec(3, Finding.PATCHY)).filled
    assert filled[:, : SIZE // 2].max() > 0.25
    assert filled[:, SIZE // 2 :].max() > 0.25
    assert filled.max() <= 0.8


def test_a_normal_lung_is_filled_nowhere(anatomy):
    assert anatomy.filled.max() == 0


def test_a_sixteenth_of_the_quanta_makes_four_times_the_noise():
    level, received = np.zeros((64, 64), np.float32), np.full((64, 64), 1e-3, np.float32)
    images = [digitise(level, received, 256, exposure, np.random.default_rng(1)) for exposure in (0.25, 4.0)]
    assert images[0].std() == pytest.approx(4 * images[1].std(), rel=0.1)


@pytest.mark.parametrize("view", list(View))
def test_every_view_uses_the_14_bits(spec, view):
    image = render(spec, view=view, size=SIZE)
    assert image.pixels.dtype == np.uint16
    assert image.pixels.max() <= FULL
    assert np.percentile(image.pixels, 97) - np.percentile(image.pixels, 3) > 0.5 * FULL


def test_a_full_size_image_is_3072_pixels_of_014_mm():
    image = render(draw_spec(1))
    assert image.pixels.shape == (3072, 3072)
    assert image.pixel_mm == pytest.approx(0.14)


def test_the_contact_sheet_shows_eight_images_and_is_small_enough_for_the_docs(tmp_path):
    write_sheet(tmp_path / "sheet.png", 7, render_size=256)
    assert (tmp_path / "sheet.png").stat().st_size < 600_000
    assert cv2.imread(str(tmp_path / "sheet.png"), cv2.IMREAD_GRAYSCALE).shape == (924, 1760)
