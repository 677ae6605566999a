"""Files: a CSV or JSON file comes in; its records, each with its line or item number, go out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.errors import UsageError

if TYPE_CHECKING:
    from _csv import Reader as CsvReader

MAX_FILE_BYTES = 512 * 1024 * 1024


class ImportFault(UsageError):
    """A file cannot be imported; the message names the line, the field and what was expected.

    It never quotes the file: in one without a header, or with a column too many, any cell may be a name.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record. `where` names its file and line (CSV, JSONL) or item (JSON list), for messages."""

    where: str
    values: Mapping[str, Any]


def read_text(path: Path) -> str:
    """Return UTF-8 text without its byte order mark. Raises ImportFault naming the file and the remedy."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ImportFault(f"{path}: larger than {MAX_FILE_BYTES} bytes; split it")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ImportFault(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise ImportFault(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from None


def csv_records(path: Path, required: tuple[str, ...]) -> Iterator[Record]:
    """Yield the rows of a CSV with a header line: names in lower case, cells stripped, blank rows left out.

    Raises ImportFault for an empty file, a missing or doubled column and a row longer than the header.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in next(_rows_with_lines(reader), (0, []))[1]]
        _check_header(path, header, required)
        for line, row in _rows_with_lines(reader):
            where = f"{path}, line {line}"
            if len(row) > len(header):
                raise ImportFault(f"{where}: {len(row)} cells under {len(header)} columns; quote cells with commas")
            padded = [cell.strip() for cell in row] + [""] * (len(header) - len(row))
            yield Record(where=where, values=dict(zip(header, padded, strict=True)))
    except csv.Error as error:
        raise ImportFault(f"{path}, line {reader.line_num}: not CSV ({error})") from None


def _rows_with_lines(reader: CsvReader) -> Iterator[tuple[int, list[str]]]:
    for row in reader:
        if any(cell.strip() for cell in row):
            yield reader.line_num, row


def _check_header(path: Path, header: list[str], required: tuple[str, ...]) -> None:
    if not header:
        raise ImportFault(f"{path}: empty; expected a header line {','.join(required)} and one row per case")
    doubled = sorted({name for name in header if name and header.count(name) > 1})
    if doubled:
        raise ImportFault(f"{path}, line 1: two columns have the same name; is there a header line?")
    missing = [name for name in required if name not in header]
    if missing:
        raise ImportFault(
            f"{path}, line 1: no column {', '.join(missing)} among its {len(header)}; a header line names the columns"
        )


def json_records(path: Path) -> Iterator[Record]:
    """Yield the objects of one JSON object, a JSON list, or JSONL. Raises ImportFault naming the line or item."""
    text = read_text(path)
    try:
        whole = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        yield from _jsonl(path, text)
        return
    items = whole if isinstance(whole, list) else [whole]
    for number, item in enumerate(items, 1):
        yield _json_record(f"{path}, item {number}", item)


def _jsonl(path: Path, text: str) -> Iterator[Record]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            where = f"{path}, line {number}"
            try:
                item = json.loads(line, parse_constant=_refuse_constant)
            except (ValueError, RecursionError):
                raise ImportFault(f"{where}: not JSON; expected one object, a list, or one object per line") from None
            yield _json_record(where, item)


def _json_record(where: str, item: object) -> Record:
    if not isinstance(item, dict):
        raise ImportFault(f"{where}: expected an object, got {type(item).__name__}")
    return Record(where=where, values=item)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def looks_like_json(path: Path) -> bool:
    """Return whether the first character that is not blank opens an object or a list."""
    return read_text(path).lstrip()[:1] in ("{", "[")


def parse_label(text: str, column: str, where: str, labels: Mapping[str, bool]) -> bool:
    """Return a label. Raises ImportFault listing the accepted texts."""
    label = labels.get(text.strip().lower())
    if label is None:
        got = f"{len(text)} other characters" if text else "an empty cell"
        raise ImportFault(f"{where}: {column}: expected {' or '.join(labels)}, got {got}")
    return label
