"""Spread a training over the machine's processors, reproducibly and in the chosen precision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import keras
import tensorflow as tf


def strategy(devices: Sequence[str] | None = None) -> tf.distribute.Strategy:
    """Each of `devices`, of several, takes a share of every batch. None: all GPUs of the machine, or its one device.

    Tested on two logical processors; the authors had no GPU.
    """
    if devices is None:
        devices = [device.name for device in tf.config.list_logical_devices("GPU")]
    return _mirrored(tuple(devices)) if len(devices) > 1 else tf.distribute.get_strategy()


@cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    """One for the whole process: of two, each takes the other's sums over devices for its own, and training ends."""
    return tf.distribute.MirroredStrategy(devices)


def make_deterministic(seed: int) -> None:
    """Same seed, same network: deterministic operations, every random generator from `seed`."""
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)


@contextmanager
def precision(*, mixed: bool) -> Iterator[None]:
    """Networks that are built meanwhile compute in float16 if `mixed`; what is measured and released is float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16" if mixed else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
