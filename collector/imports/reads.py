"""Reads: a CSV of radiologists' reads comes in; reads with keyed identifiers go out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from collector.imports.files import ImportFault, csv_records, parse_label
from collector.imports.identifiers import keyed_identifiers
from collector.store.rows import Read

LABELS = {"0": False, "1": True, "normal": False, "pneumonia": True, "0.0": False, "1.0": True}


def read_reads(path: Path, key: bytes, imported_at: datetime) -> Iterator[Read]:
    """Yield reads in the file's order. Raises ImportFault naming the line."""
    for record in csv_records(path, ("reader", "label")):
        reader = record.values["reader"]
        if not reader:
            raise ImportFault(f"{record.where}: reader: expected a name or number, got an empty cell")
        keyed = keyed_identifiers(record.values, key, record.where)
        yield Read(
            read_id=keyed.record_id("read", reader),
            reader=reader,
            exposure_id=keyed.exposure_id,
            study_id=keyed.study_id,
            accession_id=keyed.accession_id,
            patient_id=keyed.patient_id,
            positive=parse_label(record.values["label"], "label", record.where, LABELS),
            imported_at=imported_at,
        )
