"""Reads: a CSV of radiologists' reads comes in; keyed reads go out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collector.errors import ImportFault
from collector.imports.files import binary, csv_records
from collector.study.identifiers import Identifiers, identify

LABELS = {"0": False, "1": True, "normal": False, "pneumonia": True, "0.0": False, "1.0": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One reader's word on one film."""

    reader: str
    identifiers: Identifiers
    positive: bool

    def to_row(self, imported_at: str) -> dict[str, Any]:
        """Columns of the store."""
        return {
            "read_id": self.identifiers.key("read", self.reader),
            "reader": self.reader,
            **self.identifiers.to_row(),
            "positive": int(self.positive),
            "imported_at": imported_at,
        }


def read(path: Path, key: bytes) -> Iterator[Read]:
    """Reads in the file's order. Raises ImportFault naming the line."""
    for record in csv_records(path, ("reader", "label")):
        reader = record.values["reader"]
        if not reader:
            raise ImportFault(f"{record.where}: reader: a name or number expected, got an empty cell")
        yield Read(
            reader=reader,
            identifiers=identify(record.values, key, record.where),
            positive=binary(record.values["label"], "label", record.where, LABELS),
        )
