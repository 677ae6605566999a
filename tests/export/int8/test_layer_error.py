from __future__ import annotations

import csv
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from device.host.stderr import silenced_output
from export.int8.layer_error import (
    ROUNDING_ALONE,
    LayerReport,
    layer_report,
    noise,
)
from train.quantization.converter import _save, to_int8

SIDE = 16


def network() -> keras.Model:
    """Return two convolutions and two dense layers, with weights that lose little in int8."""
    keras.utils.set_random_seed(0)
    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = keras.layers.Conv2D(4, 3, activation="relu", name="conv_a")(image)
    x = keras.layers.Conv2D(8, 3, activation="relu", name="conv_b")(x)
    x = keras.layers.MaxPooling2D(2, name="pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(6, name="hidden")(x)
    return keras.Model(image, keras.layers.Dense(2, name="logits")(x))


def images(count: int, *, seed: int = 0, contrast: int = 256) -> np.ndarray:
    drawn = np.random.default_rng(seed).integers(0, contrast, (count, SIDE, SIDE)) + 128 - contrast // 2
    return drawn.astype(np.uint8)


def report(changed: keras.Model) -> LayerReport:
    return layer_report(changed, images(48), mean=0.0, held_out=images(8, seed=1))


@pytest.fixture(scope="module")
def sound() -> LayerReport:
    return report(network())


def test_a_sound_network_has_every_layer_in_order_and_hardly_any_noise(sound: LayerReport) -> None:
    operators = {layer.layer: layer.operator for layer in sound.layers}
    assert list(operators) == ["conv_a", "conv_b", "pool", "flatten", "hidden", "logits"]
    assert list(operators.values()) == ["CONV_2D", "CONV_2D", "MAX_POOL_2D", "RESHAPE", *["FULLY_CONNECTED"] * 2]
    assert len(sound.layers) == len(operators)
    for layer in sound.layers:
        assert layer.noise < 0.03
        assert layer.operator == "FULLY_CONNECTED" or layer.rmse_in_steps < 2 * ROUNDING_ALONE
        assert layer.rmse**2 == pytest.approx(layer.variance + layer.mean**2)
        assert layer.rmse_in_steps == pytest.approx(layer.rmse / layer.scale)
    assert [layer.elements for layer in sound.layers] == [14 * 14 * 4, 12 * 12 * 8, 6 * 6 * 8, 6 * 6 * 8, 6, 2]


def test_a_dense_layer_whose_weights_share_a_scale_with_one_far_too_large_is_the_worst() -> None:
    damaged = network()
    kernel, bias = damaged.get_layer("hidden").get_weights()
    # One unit alone: with a scale of its own for each unit, as the converter has it by default, five would be sound.
    kernel[0, 0] = 50.0
    damaged.get_layer("hidden").set_weights([kernel, bias])
    worst, *others = report(damaged).worst(6)
    assert (worst.layer, worst.operator) == ("hidden", "FULLY_CONNECTED")
    assert worst.noise > 0.1
    assert worst.noise > 3 * others[0].noise
    assert "hidden (FULLY_CONNECTED): noise" in str(worst)


def test_a_map_whose_channels_share_a_scale_with_one_far_too_large_is_the_worst() -> None:
    damaged = network()
    kernel, bias = damaged.get_layer("conv_a").get_weights()
    damaged.get_layer("conv_a").set_weights([kernel * np.float32([1, 1, 300, 1]), bias])
    worst = report(damaged).worst(1)[0]
    assert worst.layer == "conv_a"
    assert worst.noise > 0.3
    # Counted in steps of its own scale the error is that of any rounding: only the channel's noise shows it.
    assert worst.rmse_in_steps < 1


def test_images_outside_the_ranges_of_the_calibration_images_show_more_error() -> None:
    dull = images(8, contrast=8)
    inside, outside = (layer_report(network(), dull, mean=0.0, held_out=held) for held in (dull, images(8, seed=1)))
    assert outside.worst(1)[0].rmse_in_steps > 5 * inside.worst(1)[0].rmse_in_steps


def test_the_measured_network_is_the_exported_one(sound: LayerReport) -> None:
    tensors = (
        schema.ModelT.InitFromObj(schema.Model.GetRootAs(to_int8(network(), images(48), mean=0.0), 0))
        .subgraphs[0]
        .tensors
    )
    exported = {
        (float(t.quantization.scale[0]), int(t.quantization.zeroPoint[0]))
        for t in tensors
        if t.quantization.scale is not None
    }
    for layer in sound.layers:
        assert any(layer.scale == pytest.approx(scale) and layer.zero_point == point for scale, point in exported)


def test_a_saved_model_is_measured_as_a_network_is(sound: LayerReport, tmp_path: Path) -> None:
    with silenced_output():
        _save(network(), (1, SIDE, SIDE, 1), tmp_path)
    of_folder = layer_report(tmp_path, images(48), mean=0.0, held_out=images(8, seed=1))
    assert [layer.noise for layer in of_folder.layers] == pytest.approx([layer.noise for layer in sound.layers])
    assert "conv_b" in of_folder.layers[1].layer


def test_the_table_has_a_line_for_each_layer(sound: LayerReport, tmp_path: Path) -> None:
    path = tmp_path / "x.layers.csv"
    sound.write(path)
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["layer"] for row in rows] == [layer.layer for layer in sound.layers]
    assert float(rows[0]["rmse_in_steps"]) == sound.layers[0].rmse_in_steps
    assert {"noise", "rmse", "mean", "variance", "largest", "scale", "tensor"} <= set(rows[0])


def test_noise_is_the_share_of_a_channel_that_is_lost() -> None:
    real = np.stack([np.linspace(1, 2, 100), np.zeros(100)], axis=-1).reshape(1, 10, 10, 2)
    exact = np.rint(real / 0.01).astype(np.int8)
    assert noise(real, np.clip(real * 50, -128, 127).astype(np.int8), 0.02, 0) < 0.02
    assert noise(real, np.zeros_like(exact), 0.01, 0) == 1.0
    assert noise(np.zeros((1, 2)), np.ones((1, 2), np.int8), 0.01, 0) == 0.0
    assert noise(np.float32([[1, 100]]), np.int8([[0, 100]]), 1.0, 0) == pytest.approx(0.01, rel=0.01)
