from __future__ import annotations

import io

import pytest
from rich.console import Console

from console.progress import progress_bars, progress_callback


def written(*, terminal: bool, shown: bool | None = None) -> str:
    """Return what two tasks write to a console."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=120)
    with progress_bars(shown=shown, console=console) as bars:
        update = progress_callback(bars)
        for done in (1, 2):
            update("reading images", done, 2)
        update("classifying images", 7, 9)
        bars.add_task("training", total=5, text="[loss] 0.25")
    return stream.getvalue()


def test_each_task_has_a_bar_with_its_steps_and_its_text() -> None:
    last = written(terminal=True).rpartition("reading images")[2]
    assert "2/2" in last
    assert "classifying images" in last
    assert "7/9" in last
    assert "[loss] 0.25" in last


def test_a_log_has_no_bars_unless_they_are_asked_for() -> None:
    assert not written(terminal=False).strip()
    assert not written(terminal=True, shown=False).strip()
    assert "reading images" in written(terminal=False, shown=True)


def test_bars_are_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars(shown=True) as bars:
        progress_callback(bars)("reading images", 1, 1)
    output, errors = capsys.readouterr()
    assert output == ""
    assert "reading images" in errors
