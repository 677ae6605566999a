"""Page: figures come in; the words, tables, tiles and sections that a model card is made of go out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from metrics.estimates import Difference, Estimate
from train.data.table import Table

NOTHING = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """An SVG with its own description for who cannot see it; `wide` takes the whole page."""

    svg: Markup
    caption: str
    wide: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One of the main figures: what it says, its interval, and what it is of."""

    value: str
    interval: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """`before` its drawings and tables come paragraphs, `after` them too. `code` in backticks."""

    title: str
    before: tuple[str, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    tables: tuple[Table, ...] = ()
    after: tuple[str, ...] = ()


def percent(value: Estimate | float | None) -> str:
    """97.1 %."""
    number = value.value if isinstance(value, Estimate) else value
    return NOTHING if number is None else f"{100 * number:.1f} %"


def figure(value: Estimate | float | None) -> str:
    """0.971."""
    number = value.value if isinstance(value, Estimate) else value
    return NOTHING if number is None else f"{number:.3f}"


def share(interval: Estimate | None) -> str:
    """97.1 % (93.4 to 98.8)."""
    if interval is None:
        return NOTHING
    return f"{percent(interval)} ({_pair(interval, 100, 1)})"


def measure(interval: Estimate | None) -> str:
    """0.971 (0.934 to 0.988)."""
    if interval is None:
        return NOTHING
    return f"{figure(interval)} ({_pair(interval, 1, 3)})"


def change(difference: Difference | Estimate | None, digits: int = 3) -> str:
    """-0.020 (-0.040 to +0.001)."""
    if difference is None:
        return NOTHING
    return f"{difference.value:+.{digits}f} ({difference.low:+.{digits}f} to {difference.high:+.{digits}f})"


def p_value(value: float | None) -> str:
    """Three decimals, and no more than that."""
    if value is None:
        return "no test"
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def share_tile(interval: Estimate | None, words: str) -> Tile:
    """A share as a tile."""
    return Tile(
        value=percent(interval), words=words,
        interval=f"{_pair(interval, 100, 1)} %" if interval is not None else "",
    )  # fmt: skip


def figure_tile(interval: Estimate | None, words: str) -> Tile:
    """A figure between 0 and 1 as a tile."""
    return Tile(
        value=figure(interval), words=words,
        interval=_pair(interval, 1, 3) if interval is not None else "",
    )  # fmt: skip


def table(title: str, columns: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    """Of any sequences."""
    return Table(title=title, columns=tuple(columns), lines=tuple(tuple(line) for line in lines))


def _pair(interval: Estimate, times: float, digits: int) -> str:
    # A bound may lie below 0 by the last bit: no "-0.0".
    low, high = (round(times * end, digits) + 0.0 for end in (interval.low, interval.high))
    return f"{low:.{digits}f} to {high:.{digits}f}"
