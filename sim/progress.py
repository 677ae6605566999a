"""Tell: what happens comes in; a moving line for a person at a terminal, or plain lines for a log, go out."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Teller:
    """`stage` opens a part of the work, `step` says how far it is, `say` is a line that stays."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._started_s = time.monotonic()
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    @property
    def moving(self) -> bool:
        """Whether a person watches."""
        return self._console.is_terminal

    def __enter__(self) -> Self:
        if self.moving:
            bar = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._progress = Progress(*bar, console=self._console, transient=True)
            self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._progress:
            self._progress.stop()
            self._progress = None

    def say(self, words: str) -> None:
        """A line, with the seconds since the start."""
        self._console.print(f"[{time.monotonic() - self._started_s:5.1f} s] {words}", markup=False)

    def stage(self, words: str, total: int | None = None) -> None:
        """A new part of the work. `total` steps are expected."""
        if self._progress is None:
            self.say(words)
            return
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(words, total=total)

    def step(self, done: int, total: int, words: str) -> None:
        """So far. A log gets a line each, a person a moving bar."""
        if self._progress is None or self._task is None:
            self.say(f"{done}/{total} {words}")
        else:
            self._progress.update(self._task, completed=done, total=total)
