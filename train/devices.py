"""Devices: the machine's processors come in; how a training is spread over them goes out."""

from __future__ import annotations

import keras
import tensorflow as tf


def strategy() -> tf.distribute.Strategy:
    """All GPUs of the machine, or its one device. Written for several GPUs; run by the authors on CPUs only."""
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def settle(seed: int, *, mixed_precision: bool) -> None:
    """Same seed, same network: deterministic operations, every random generator from `seed`."""
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy("mixed_float16" if mixed_precision else "float32")
