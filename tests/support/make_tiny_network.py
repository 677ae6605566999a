"""Make the small networks in this folder, for tests where TensorFlow is not installed.

`tiny.tflite`, 102 numbers: mean over 32 x 32 tiles, then a dense layer to two logits; the brighter the middle of the
image, the more "pneumonia". `tiny_evidence.tflite`: the same tiles, each with its own share of the logit (`0.4 * grey -
0.1`), and two and three features beside. Run `python tests/support/make_tiny_network.py` in an environment with the
extra `train`; names of networks after it make only those.
"""

import sys
from pathlib import Path

import keras
import numpy as np

from train.quantization.converter import to_int8

FOLDER = Path(__file__).parent


def tiny() -> keras.Model:
    image = keras.Input((224, 224, 1))
    tiles = keras.layers.Flatten()(keras.layers.AveragePooling2D(32)(image))
    logits = keras.layers.Dense(2)(tiles)
    network = keras.Model(image, logits)
    towards_middle = 1.0 - np.hypot(*np.meshgrid(np.arange(-3, 4), np.arange(-3, 4))).ravel() / 5.0
    kernel = np.stack([-towards_middle, towards_middle], axis=1).astype(np.float32) / 4
    network.layers[-1].set_weights([kernel, np.array([2.0, -2.0], np.float32)])
    return network


def tiny_evidence() -> keras.Model:
    image = keras.Input((224, 224, 1))
    tiles = keras.layers.AveragePooling2D(32)(image)
    evidence = keras.layers.Conv2D(1, 1, name="evidence")
    level, edges = (
        keras.layers.Conv2D(2, 1, activation="relu", name="level"),
        keras.layers.Conv2D(3, 3, activation="relu", name="edges"),
    )
    pooled = [keras.layers.GlobalAveragePooling2D(keepdims=True)(layer(tiles)) for layer in (level, edges)]
    network = keras.Model(image, [evidence(tiles), *pooled])
    evidence.set_weights([np.full((1, 1, 1, 1), 0.4, np.float32), np.float32([-0.1])])
    level.set_weights([np.float32([1.0, 1.0]).reshape(1, 1, 1, 2), np.float32([0.0, -0.5])])
    across = np.float32([[-1, 0, 1]] * 3)
    kernels = np.stack([across, across.T, np.eye(3, dtype=np.float32) - 1 / 3], axis=-1)[:, :, None, :]
    edges.set_weights([kernels, np.zeros(3, np.float32)])
    return network


NETWORKS = {"tiny": tiny, "tiny_evidence": tiny_evidence}


def main() -> None:
    for name in sys.argv[1:] or NETWORKS:
        random = np.random.default_rng(0)
        images = (random.random((16, 224, 224)) * random.random((16, 1, 1)) * 255).astype(np.uint8)
        out = FOLDER / f"{name}.tflite"
        out.write_bytes(to_int8(NETWORKS[name](), images, mean=0.0))
        print(f"{out}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
