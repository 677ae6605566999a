"""Write TensorBoard event files with loss, accuracy and learning rate of each batch.

Written as TensorFlow itself can: `tf.summary.scalar` asks for the package tensorboard, which only a reader needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

from train.fitting.history import Step

SCALARS = ("loss", "accuracy", "learning_rate")
FLUSH_MS = 10_000
"""An event is on disk, for a reader beside the training, after so long at most."""


@contextmanager
def event_log(folder: Path | None) -> Iterator[Callable[[Step], None]]:
    """What takes each batch; its events go into `folder`, which is made. None: nowhere."""
    if folder is None:
        yield lambda _: None
        return
    folder.mkdir(parents=True, exist_ok=True)
    writer = tf.summary.create_file_writer(str(folder), flush_millis=FLUSH_MS)
    try:
        yield lambda step: _write(writer, step)
    finally:
        writer.close()


def _write(writer: tf.summary.SummaryWriter, step: Step) -> None:
    shown = tf.compat.v1.SummaryMetadata(data_class="DATA_CLASS_SCALAR")
    shown.plugin_data.plugin_name = "scalars"
    with writer.as_default(step.done):
        for name in SCALARS:
            tf.summary.write(name, tf.constant(getattr(step, name), tf.float32), metadata=shown)
