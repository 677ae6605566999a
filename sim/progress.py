"""Progress on the terminal: a moving bar for a person, plain lines for a log."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress, TaskID

from console.progress import progress_bars


class ProgressReporter:
    """Use it as a context. `stage` begins a part of the work, `step` moves its bar, `line` prints a line that stays."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._started_s = time.monotonic()
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._progress = progress_bars(console=self._console, transient=True)
            self._progress.start()
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._progress:
            self._progress.stop()
            self._progress = None

    def line(self, text: str) -> None:
        """Print a line, with the seconds since the start."""
        self._console.print(f"[{time.monotonic() - self._started_s:5.1f} s] {text}", markup=False)

    def stage(self, text: str, total: int | None = None) -> None:
        """Begin a part of the work, of `total` steps if that is known."""
        if self._progress is None:
            self.line(text)
            return
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(text, total=total)

    def step(self, done: int, total: int, text: str) -> None:
        """Report that `done` of `total` steps are done; only a log shows the text."""
        if self._progress is None or self._task is None:
            self.line(f"{done}/{total} {text}")
        else:
            self._progress.update(self._task, completed=done, total=total)
