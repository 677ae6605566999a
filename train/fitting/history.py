"""Record the loss and accuracy of each batch, for the screen and the run's history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One batch: `epoch` from 1, `done` of `steps` batches of the whole run, and the batch's own figures.

    `learning_rate` is the one that the batch moved the weights with.
    """

    epoch: int
    done: int
    steps: int
    loss: float
    accuracy: float
    learning_rate: float


class StepRecorder(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Writes down each batch's own loss and accuracy, as the study's training figure shows them."""

    def __init__(self, steps: int, on_step: Callable[[Step], None], *, done: int = 0) -> None:
        super().__init__()
        self.history: list[Step] = []
        self._steps = steps
        self._before = done
        self._on_step = on_step
        self._epoch = 0
        self._in_epoch = 0
        self._sums = (0.0, 0.0)
        self._learning_rate = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keras counts epochs from 0."""
        del logs
        self._epoch, self._in_epoch, self._sums = epoch + 1, 0, (0.0, 0.0)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Asked before the step: a schedule moves on with it."""
        del batch, logs
        # An array, because a rate that several devices share is no number to float().
        self._learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Keras reports running means over the epoch; the batch's own value is their increment."""
        del batch
        means = logs or {}
        before, count = self._sums, self._in_epoch + 1
        self._sums = (float(means["loss"]) * count, float(means["accuracy"]) * count)
        self._in_epoch = count
        step = Step(
            epoch=self._epoch,
            done=self._before + len(self.history) + 1,
            steps=self._steps,
            loss=self._sums[0] - before[0],
            accuracy=self._sums[1] - before[1],
            learning_rate=self._learning_rate,
        )
        self.history.append(step)
        self._on_step(step)
