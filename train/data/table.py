"""A table as cards and commands show it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """`lines` of as many cells as `columns`; the first cell names the line."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
