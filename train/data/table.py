"""A table as cards, pages and the commands show it."""

from __future__ import annotations

from dataclasses import dataclass

from rich.table import Table as Grid


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """`lines` with one text for each of the `columns`; the first text of a line names it."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


def grid(table: Table, *, shown: int | None = None) -> Grid:
    """Return the table for the terminal, with its first `shown` lines; None: all."""
    result = Grid(*table.columns, title=table.title, title_justify="left")
    for line in table.lines[:shown]:
        result.add_row(*line)
    return result


def markdown(table: Table) -> str:
    """Return the table in Markdown, its title as a sentence above it."""
    rows = [table.columns, ("---",) * len(table.columns), *table.lines]
    return "\n".join([f"{table.title[0].upper()}{table.title[1:]}.", "", *(f"| {' | '.join(row)} |" for row in rows)])
