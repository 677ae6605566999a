"""Site table: a CSV file that a site wrote comes in; its rows by column name, with their lines, go out."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from console.errors import UsageError


class ReadsError(UsageError):
    """Results or reads cannot be used; the message names file, line and remedy, and never an image's identifier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One record. `where` names file and line for messages."""

    where: str
    cells: Mapping[str, str]


def read_text(path: Path) -> str:
    """Read UTF-8 without its byte order mark. Raises ReadsError."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ReadsError(f"{path}: cannot be read ({error.strerror}); name a file") from None
    except UnicodeDecodeError:
        raise ReadsError(f"{path}: not UTF-8 text; save it as UTF-8") from None


def rows_of(path: Path, text: str) -> Iterator[Row]:
    """Yield the rows under a header line: names in lower case, cells stripped, no blank rows. Raises ReadsError."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    names: list[str] = []
    try:
        for cells in reader:
            texts = [value.strip() for value in cells]
            where = f"{path}, line {reader.line_num}"
            if not any(texts):
                continue
            if not names:
                names = _names(path, texts)
            elif len(texts) > len(names):
                raise ReadsError(f"{where}: {len(texts)} cells under {len(names)} columns; quote cells with commas")
            else:
                yield Row(where=where, cells=dict(zip(names, texts + [""] * (len(names) - len(texts)), strict=True)))
    except csv.Error as error:
        raise ReadsError(f"{path}, line {reader.line_num}: not CSV ({error}); correct it") from None
    if not names:
        raise ReadsError(f"{path}: empty; expected a header line and a line per image")


def _names(path: Path, header: list[str]) -> list[str]:
    names = [name.lower() for name in header]
    filled = [name for name in names if name]
    if len(set(filled)) < len(filled):
        raise ReadsError(f"{path}, line 1: two columns have the same name; is there a header line?")
    return names
