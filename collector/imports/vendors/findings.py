"""Findings: a record in JSON or CSV comes in; scores by finding go out. Shared by the vendors that report findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from collector.errors import ImportFault
from collector.imports.files import (
    Record,
    csv_records,
    json_records,
    looks_like_json,
)
from collector.imports.vendors.base import (
    Mapper,
    Output,
    finding_name,
    number,
)


def outputs(
    path: Path, mapper: Mapper, *, names: tuple[str, ...], list_field: str, name_field: str
) -> Iterator[Output]:
    """Outputs of a file. JSON has a list of findings; CSV has one column per finding of `names`."""
    if looks_like_json(path):
        for record in json_records(path):
            yield mapper.output(record, _listed(record, mapper, list_field, name_field))
        return
    for record in csv_records(path, ()):
        yield mapper.output(record, _columns(record, mapper, names))


def _listed(record: Record, mapper: Mapper, list_field: str, name_field: str) -> dict[str, float | None]:
    found = mapper.value(record, list_field)
    if not isinstance(found, list):
        expected = f"{record.where}: {mapper.field(list_field)}: a list of findings expected"
        raise ImportFault(f"{expected}, got {'nothing' if found is None else type(found).__name__}")
    scores: dict[str, float | None] = {}
    for index, item in enumerate(found, 1):
        where = f"{record.where}, finding {index}"
        name, score = _finding(item, mapper, name_field, where)
        if scores.setdefault(name, score) != score:
            raise ImportFault(f"{where}: the same finding stands before it with another score")
    return scores


def _finding(item: Any, mapper: Mapper, name_field: str, where: str) -> tuple[str, float | None]:
    name_key = mapper.config.fields.get("finding_name", name_field)
    score_key = mapper.config.fields.get("finding_score", "score")
    name = item.get(name_key) if isinstance(item, Mapping) else None
    if not isinstance(name, str) or not isinstance(item, Mapping):
        raise ImportFault(f"{where}: each finding needs {name_key} and {score_key}")
    return finding_name(name), number(item.get(score_key), score_key, where)


def _columns(record: Record, mapper: Mapper, names: tuple[str, ...]) -> dict[str, float | None]:
    own = {mapper.field(name): name for name in names}
    cells = {own.get(column, finding_name(column)): cell for column, cell in record.values.items()}
    return {name: number(cells[name], name, record.where) for name in names if name in cells}
