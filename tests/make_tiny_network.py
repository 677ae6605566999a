"""Make tests/device/tiny.tflite, a network of 102 numbers for tests where TensorFlow is not installed.

Mean over 32 x 32 tiles, then a dense layer to two logits: the brighter the middle of the film, the more "pneumonia".
Run `python tests/make_tiny_network.py` in an environment with the extra `train`.
"""

from pathlib import Path

import keras
import numpy as np

from export.quantize import to_int8

OUT = Path(__file__).parent / "device" / "tiny.tflite"


def tiny_network() -> keras.Model:
    film = keras.Input((224, 224, 1))
    tiles = keras.layers.Flatten()(keras.layers.AveragePooling2D(32)(film))
    logits = keras.layers.Dense(2)(tiles)
    network = keras.Model(film, logits)
    towards_middle = 1.0 - np.hypot(*np.meshgrid(np.arange(-3, 4), np.arange(-3, 4))).ravel() / 5.0
    kernel = np.stack([-towards_middle, towards_middle], axis=1).astype(np.float32) / 4
    network.layers[-1].set_weights([kernel, np.array([2.0, -2.0], np.float32)])
    return network


def main() -> None:
    random = np.random.default_rng(0)
    films = (random.random((16, 224, 224)) * random.random((16, 1, 1)) * 255).astype(np.uint8)
    OUT.write_bytes(to_int8(tiny_network(), films, mean=0.0))
    print(f"{OUT}: {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
