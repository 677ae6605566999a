"""Convert a Keras network to a full int8 .tflite network.

The network takes float32 (n, rows, columns, 1), `(grey - mean) / 255`. What goes out has a static batch of one, int8 in
and out, per-channel convolutions and per-tensor dense layers: what the Edge TPU and tflite-runtime 2.14 both take.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from device.host.stderr import silenced_output
from train.networks.predictor import network_input


def to_int8(network: keras.Model, images: NDArray[np.uint8], *, mean: float) -> bytes:
    """`images` uint8 (n, rows, columns) set the ranges of the layers. `mean` is the grey value that is zero inside."""
    with int8_converter(network, images, mean=mean) as converter:
        converted: bytes = converter.convert()
    return converted


@contextlib.contextmanager
def int8_converter(network: keras.Model | Path, images: NDArray[np.uint8], *, mean: float) -> Iterator[Any]:
    """TensorFlow's converter with all that a box needs set; it may be used until the block ends.

    `network` may be the folder of a SavedModel that takes float32 (1, rows, columns, 1).
    """
    with tempfile.TemporaryDirectory(prefix="pneumoflag-export-") as folder, silenced_output():
        if not isinstance(network, Path):
            _save(network, (1, *images.shape[1:], 1), Path(folder))
        converter = tf.lite.TFLiteConverter.from_saved_model(str(network) if isinstance(network, Path) else folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _calibration(images, mean)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
        # Per-channel dense layers need a newer op than tflite-runtime 2.14 and the Edge TPU have.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True  # noqa: SLF001  no public name
        yield converter


def _save(network: keras.Model, shape: tuple[int, ...], folder: Path) -> None:
    """A SavedModel with a static batch: a concrete function of a Keras 3 model would be written without its weights."""
    image = keras.Input(batch_shape=shape, name="image")
    static = keras.Model(image, network(image, training=False))
    archive = keras.export.ExportArchive()
    archive.track(static)
    signature = [tf.TensorSpec(shape=shape, dtype=tf.float32, name="image")]
    archive.add_endpoint(name="serve", fn=static.call, input_signature=signature)
    archive.write_out(str(folder), verbose=False)


def _calibration(images: NDArray[np.uint8], mean: float) -> Iterator[list[NDArray[np.float32]]]:
    """Each image, and before them black and white, so that the input's scale is one grey value exactly."""
    for grey in (0, 255):
        yield [network_input(np.full((1, *images.shape[1:]), grey, np.uint8), mean=mean)]
    for image in images:
        yield [network_input(image[None], mean=mean)]


def output_order(tflite: bytes) -> tuple[int, ...]:
    """Where the .tflite has each output of the Keras network: converters sort them as they like, by no stated rule."""
    with silenced_output():
        interpreter = Interpreter(model_content=tflite)
    placed = [tensor["index"] for tensor in interpreter.get_output_details()]
    named = interpreter.get_signature_runner().get_output_details()
    # Keras' export names the outputs output_0, output_1 and so on, in the network's order.
    ordered = sorted(named, key=lambda name: int(name.rpartition("_")[2]))
    return tuple(placed.index(named[name]["index"]) for name in ordered)
