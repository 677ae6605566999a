"""Progress bars: tasks with their numbers of steps come in; bars on standard error go out, where it is a terminal.

Commands import this when they run, as rich takes a while to load.
"""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _TaskText(ProgressColumn):
    """The task's field `text`, where it has one."""

    def render(self, task: Task) -> Text:
        return Text(task.fields.get("text", ""))


def progress_bars(*, shown: bool | None = None, console: Console | None = None, transient: bool = False) -> Progress:
    """Return bars, to be entered with `with`; the field `text` of a task stands behind its bar.

    `shown` None shows them only on a terminal. `transient` bars disappear at the end. `console` None is standard error.
    """
    console = console or Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        _TaskText(),
        console=console,
        disable=not (console.is_terminal if shown is None else shown),
        transient=transient,
    )


def progress_callback(progress: Progress) -> Callable[[str, int, int], None]:
    """Return a function of a task's description, its steps done and its steps in all; each task has a bar."""
    tasks: dict[str, TaskID] = {}

    def update(description: str, done: int, total: int) -> None:
        if description not in tasks:
            tasks[description] = progress.add_task(description, total=total)
        progress.update(tasks[description], completed=done, total=total)

    return update
