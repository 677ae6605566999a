"""Card elements: figures come in; the text, tables, tiles and sections that a model card is made of go out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from metrics.estimates import Difference, Estimate
from train.data.table import Table

NOTHING = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """An SVG with its caption; `wide` takes the whole width of the page."""

    svg: Markup
    caption: str
    wide: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One of the main figures: its value, its interval, and what it measures."""

    value: str
    interval: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section: paragraphs `before` and `after` its drawings and tables. `code` in backticks."""

    title: str
    before: tuple[str, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    tables: tuple[Table, ...] = ()
    after: tuple[str, ...] = ()


def percent(value: Estimate | float | None) -> str:
    """Format a share: 97.1 %."""
    number = value.value if isinstance(value, Estimate) else value
    return NOTHING if number is None else f"{100 * number:.1f} %"


def figure(value: Estimate | float | None) -> str:
    """Format a figure: 0.971."""
    number = value.value if isinstance(value, Estimate) else value
    return NOTHING if number is None else f"{number:.3f}"


def share(interval: Estimate | None) -> str:
    """Format a share with its interval: 97.1 % (93.4 to 98.8)."""
    if interval is None:
        return NOTHING
    return f"{percent(interval)} ({_pair(interval, 100, 1)})"


def measure(interval: Estimate | None) -> str:
    """Format a figure with its interval: 0.971 (0.934 to 0.988)."""
    if interval is None:
        return NOTHING
    return f"{figure(interval)} ({_pair(interval, 1, 3)})"


def change(difference: Difference | Estimate | None, digits: int = 3) -> str:
    """Format a difference with its interval: -0.020 (-0.040 to +0.001)."""
    if difference is None:
        return NOTHING
    return f"{difference.value:+.{digits}f} ({difference.low:+.{digits}f} to {difference.high:+.{digits}f})"


def p_value(value: float | None) -> str:
    """Format a p-value with three decimals."""
    if value is None:
        return "no test"
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def share_tile(interval: Estimate | None, label: str) -> Tile:
    """Return a share as a tile."""
    bounds = "" if interval is None else f"{_pair(interval, 100, 1)} %"
    return Tile(value=percent(interval), interval=bounds, label=label)


def figure_tile(interval: Estimate | None, label: str) -> Tile:
    """Return a figure between 0 and 1 as a tile."""
    bounds = "" if interval is None else _pair(interval, 1, 3)
    return Tile(value=figure(interval), interval=bounds, label=label)


def table(title: str, columns: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    """Return a table of any sequences."""
    return Table(title=title, columns=tuple(columns), lines=tuple(tuple(line) for line in lines))


def _pair(interval: Estimate, times: float, digits: int) -> str:
    # A bound may lie below 0 by the last bit: no "-0.0".
    low, high = (round(times * end, digits) + 0.0 for end in (interval.low, interval.high))
    return f"{low:.{digits}f} to {high:.{digits}f}"
