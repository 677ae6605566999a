"""Preprocess against a slow float64 reference written here from the standard's formulas, and its properties."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from device.preprocess.render import (
    AS_IS,
    INPUT_SHAPE,
    Lut,
    Rendering,
    Span,
    StoredBits,
    Window,
    WindowFunction,
    preprocess,
    render,
    thumbnail,
)

FOURTEEN = StoredBits(bits_stored=14, high_bit=13)
SIZES = st.tuples(st.integers(1, 700), st.integers(1, 700))


def reference(pixels: NDArray, rendering: Rendering) -> NDArray[np.float64]:
    """Grey 0 to 255, not rounded: (224, 224) box integrals of the image as a step function, then PS3.3 C.11."""
    stored = box_mean(box_mean(np.asarray(pixels, np.float64)).T).T
    if rendering.modality_lut is not None:
        values = looked_up(stored, rendering.modality_lut)
    else:
        values = stored * rendering.slope + rendering.intercept
    voi = rendering.voi
    if isinstance(voi, Lut):
        share = looked_up(values, voi) / (2**voi.bits - 1)
    elif isinstance(voi, Span):
        share = (values - voi.low) / (voi.high - voi.low)
    else:
        share = windowed(values, voi)
    grey = 255 * np.clip(share, 0, 1)
    return 255 - grey if rendering.invert else grey


def box_mean(rows: NDArray[np.float64], size: int = 224) -> NDArray[np.float64]:
    """Mean over each of `size` equal parts of the first axis, by the running integral."""
    integral = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0)])
    edges = np.linspace(0, len(rows), size + 1)
    below = np.minimum(edges.astype(int), len(rows) - 1)
    at_edges = integral[below] + (edges - below)[:, None] * rows[below]
    return np.diff(at_edges, axis=0) * size / len(rows)


def looked_up(values: NDArray[np.float64], lut: Lut) -> NDArray[np.float64]:
    return np.interp(values, lut.first + np.arange(len(lut.values)), lut.values)


def windowed(x: NDArray[np.float64], window: Window) -> NDArray[np.float64]:
    c, w = window.center, window.width
    if window.function is WindowFunction.SIGMOID:
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-4 * (x - c) / w))
    if window.function is WindowFunction.LINEAR_EXACT:
        return np.select([x <= c - w / 2, x > c + w / 2], [0.0, 1.0], (x - c) / w + 0.5)
    low, high = c - 0.5 - (w - 1) / 2, c - 0.5 + (w - 1) / 2
    return np.select([x <= low, x > high], [0.0, 1.0], (x - (c - 0.5)) / (w - 1) + 0.5)


def random_image(shape: tuple[int, int], seed: int, bits: int = 14) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(0, 1 << bits, shape, dtype=np.uint16)


windows = st.builds(
    Window,
    center=st.floats(-2000, 18000),
    width=st.floats(16, 40000),
    function=st.sampled_from(WindowFunction),
)
luts = st.builds(
    lambda first, size, top: Lut(first=first, values=np.linspace(0, top, size).astype(np.uint16), bits=16),
    first=st.integers(-100, 8000),
    size=st.integers(64, 9000),
    top=st.integers(1, 65535),
)
spans = st.builds(lambda low, reach: Span(low=low, high=low + reach), st.floats(-100, 9000), st.floats(50, 20000))


@settings(max_examples=30, deadline=None)
@given(
    shape=SIZES,
    seed=st.integers(0, 99),
    voi=windows | luts | spans,
    slope=st.sampled_from([1.0, 0.5, -1.0, 2.5]),
    intercept=st.floats(-3000, 3000),
    invert=st.booleans(),
)
def test_it_agrees_with_a_slow_float64_reference(shape, seed, voi, slope, intercept, invert):  # noqa: PLR0917
    pixels = random_image(shape, seed)
    rendering = Rendering(stored_bits=FOURTEEN, slope=slope, intercept=intercept, voi=voi, invert=invert)
    image = preprocess(pixels, rendering)
    assert image.shape == INPUT_SHAPE
    assert image.dtype == np.uint8
    assert np.abs(image - reference(pixels, rendering)).max() <= 1.0


@pytest.mark.parametrize("shape", [(3072, 3072), (3000, 2501), (448, 448), (449, 2048), (224, 3000)])
def test_an_image_of_full_size_is_averaged_exactly(shape):
    pixels = random_image(shape, 1)
    rendering = Rendering(stored_bits=FOURTEEN, voi=Window(center=8192, width=1500))
    assert np.abs(preprocess(pixels, rendering) - reference(pixels, rendering)).max() <= 0.52


def test_a_modality_lut_comes_before_the_window():
    pixels = random_image((300, 300), 2, bits=10)
    table = Lut(first=0, values=np.linspace(4000, 0, 1024).astype(np.uint16), bits=12)
    rendering = Rendering(modality_lut=table, slope=7.0, voi=Window(center=2000, width=4000))
    assert np.abs(preprocess(pixels, rendering) - reference(pixels, rendering)).max() <= 1.0


@given(shape=SIZES, value=st.integers(0, 16383), voi=windows | luts | spans | st.none(), invert=st.booleans())
@settings(max_examples=30, deadline=None)
def test_a_uniform_image_stays_uniform(shape, value, voi, invert):
    pixels = np.full(shape, value, np.uint16)
    image = preprocess(pixels, Rendering(stored_bits=FOURTEEN, voi=voi, intercept=-value, invert=invert))
    assert len(np.unique(image)) == 1


@given(shape=SIZES, seed=st.integers(0, 99), voi=windows | luts | spans | st.none())
@settings(max_examples=30, deadline=None)
def test_monochrome1_is_the_inverse_of_monochrome2(shape, seed, voi):
    pixels = random_image(shape, seed)
    upright = preprocess(pixels, Rendering(stored_bits=FOURTEEN, voi=voi))
    inverse = preprocess(pixels, Rendering(stored_bits=FOURTEEN, voi=voi, invert=True))
    assert (upright == 255 - inverse).all()


@given(seed=st.integers(0, 99), voi=windows | luts | spans, more=st.integers(1, 3000))
@settings(max_examples=30, deadline=None)
def test_a_brighter_image_is_nowhere_darker(seed, voi, more):
    dark = random_image((250, 330), seed, bits=13)
    bright = np.minimum(dark + np.uint16(more), 16383).astype(np.uint16)
    rendering = Rendering(stored_bits=FOURTEEN, voi=voi)
    # Averages are float32: the last bit of two of them may differ either way.
    assert (preprocess(bright, rendering).astype(int) >= preprocess(dark, rendering).astype(int) - 1).all()


@given(
    bits=st.integers(8, 15),
    lift=st.integers(0, 4),
    signed=st.booleans(),
    shape=st.sampled_from([(230, 300), (448, 200), (900, 500)]),
    seed=st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_overlay_bits_outside_the_stored_ones_change_nothing(bits, lift, signed, shape, seed):
    lift = min(lift, 16 - bits)
    stored_bits = StoredBits(bits_stored=bits, high_bit=bits - 1 + lift, signed=signed)
    clean = random_image(shape, seed, bits)
    mask = ((1 << bits) - 1) << lift
    noise = random_image(shape, seed + 1, 16) & np.uint16(0xFFFF ^ mask)
    rendering = Rendering(stored_bits=stored_bits, voi=Window(center=0 if signed else 1 << (bits - 1), width=1 << bits))
    plain = preprocess(clean << np.uint16(lift), rendering)
    assert (plain == preprocess((clean << np.uint16(lift)) | noise, rendering)).all()
    values = clean.astype(np.int64)
    if signed:
        values = np.where(values >= 1 << (bits - 1), values - (1 << bits), values)
    assert np.abs(plain - reference(values, rendering)).max() <= 1.0


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.uint32, np.float32, np.float64, ">u2", ">i2"])
def test_every_number_type_gives_the_same_image(dtype):
    values = random_image((500, 460), 3, bits=7)
    rendering = Rendering(voi=Span(low=0, high=127))
    assert (preprocess(values.astype(dtype), rendering) == preprocess(values, rendering)).all()


def test_signed_values_of_full_width_are_signed():
    values = np.linspace(-30000, 30000, 300 * 300).reshape(300, 300).astype(np.int16)
    rendering = Rendering(
        stored_bits=StoredBits(bits_stored=16, high_bit=15, signed=True), voi=Window(center=0, width=60000)
    )
    assert np.abs(preprocess(values.view(np.uint16), rendering) - reference(values, rendering)).max() <= 1.0


def test_an_8_bit_image_of_the_networks_size_passes_unchanged():
    grey = random_image((224, 224), 4, bits=8).astype(np.uint8)
    assert (preprocess(grey, AS_IS) == grey).all()


def test_below_the_window_is_black_and_not_folded_back():
    image = preprocess(np.zeros((300, 300), np.uint16), Rendering(voi=Window(center=9000, width=100)))
    assert (image == 0).all()


def test_a_window_of_width_one_is_a_threshold():
    pixels = np.tile(np.array([99, 101], np.uint16).repeat(224), (448, 1))
    image = preprocess(pixels, Rendering(voi=Window(center=100.5, width=1)))
    assert (image[:, :112] == 0).all()
    assert (image[:, 112:] == 255).all()


def test_without_a_window_the_robust_range_leaves_out_ends_and_padding():
    pixels = random_image((600, 600), 5, bits=10) + np.uint16(1000)
    pixels[:, :200] = 0
    kept = preprocess(pixels, Rendering(stored_bits=FOURTEEN, padding=(0, 0)))
    swallowed = preprocess(pixels, Rendering(stored_bits=FOURTEEN))
    assert kept[:, 80:].std() > 3 * swallowed[:, 80:].std()
    assert (kept[:, :70] == 0).all()


def test_an_image_of_padding_alone_is_still_rendered():
    image = preprocess(np.zeros((300, 300), np.uint16), Rendering(padding=(0, 0)))
    assert len(np.unique(image)) == 1


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (5, 5, 3), (5,)])
def test_what_is_not_rows_and_columns_is_refused(shape):
    with pytest.raises(ValueError, match="rows and columns"):
        preprocess(np.zeros(shape, np.uint8), AS_IS)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((3072, 3072), (448, 448)), ((2500, 1250), (448, 224)), ((300, 900), (149, 448)), ((5000, 2), (448, 1))],
)
def test_the_thumbnail_keeps_the_aspect_ratio(shape, size):
    decoded = cv2.imdecode(
        np.frombuffer(thumbnail(random_image(shape, 6), Rendering()), np.uint8), cv2.IMREAD_UNCHANGED
    )
    assert decoded.shape == size


def test_the_thumbnail_shows_what_the_network_sees():
    pixels = np.outer(np.arange(900), np.ones(900)).astype(np.uint16)
    rendered = render(pixels, Rendering(invert=True))
    shown = cv2.imdecode(np.frombuffer(rendered.thumbnail, np.uint8), cv2.IMREAD_UNCHANGED)
    small = cv2.resize(shown, INPUT_SHAPE, interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - rendered.image).max() < 6
    assert rendered.image[0, 0] > 250
