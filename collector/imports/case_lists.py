"""Case lists: plain CSVs of reads and of systems' labels come in; a study, ready to compare, goes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from collector import compare
from collector.compare import Call, System
from collector.imports.files import ImportFault, Record, csv_records, parse_label
from collector.imports.vendors.base import number
from collector.study.study import Study, ties_of

LABELS = {"0": False, "1": True, "0.0": False, "1.0": True}


def study(reads: Path, systems: Sequence[tuple[str, Path]]) -> Study:
    """Return the study of a file of reads and of each system's file, by the system's name.

    Reads have `case_id,label` or `case_id,reader,label`; systems have `case_id,label[,score]`. Raises ImportFault
    naming file, line and remedy.
    """
    by_case = _read_labels(reads)
    reference = compare.reference(by_case)
    compared = []
    for name, path in systems:
        calls = _read_calls(path)
        excluded = {
            "no_read": tuple(case for case in calls if case not in by_case),
            "missing_in_system": tuple(case for case in reference.labels if case not in calls),
        }
        compared.append(System(name=name, calls=calls, excluded=ties_of(reference) | excluded))
    return Study(reference=reference, systems=tuple(compared), unread=0, notes=_notes(reference.labels, compared))


def _notes(labels: Mapping[str, bool], systems: Sequence[System]) -> tuple[str, ...]:
    return tuple(
        f"{system.name}: none of its cases has a read; do the case_id columns match?"
        for system in systems
        if not set(system.calls) & set(labels)
    )


def _read_labels(path: Path) -> dict[str, dict[str, bool]]:
    labels: dict[str, dict[str, bool]] = {}
    lines: dict[tuple[str, str], str] = {}
    for record in csv_records(path, ("case_id", "label")):
        reader = record.values.get("reader", "")
        if "reader" in record.values and not reader:
            raise ImportFault(f"{record.where}: reader: empty; name the reader in every row, or leave the column out")
        remedy = "remove one" if reader else "remove one, or name the readers in a column reader"
        case = _unique_case(record, reader, lines, remedy)
        labels.setdefault(case, {})[reader or "reader"] = parse_label(
            record.values["label"], "label", record.where, LABELS
        )
    if not labels:
        raise ImportFault(f"{path}: a header line but no case; add a row per case")
    return labels


def _read_calls(path: Path) -> dict[str, Call]:
    calls: dict[str, Call] = {}
    lines: dict[tuple[str, str], str] = {}
    for record in csv_records(path, ("case_id", "label")):
        calls[_unique_case(record, "", lines, "keep the one that counts")] = Call(
            positive=parse_label(record.values["label"], "label", record.where, LABELS),
            score=number(record.values.get("score"), "score", record.where),
        )
    if not calls:
        raise ImportFault(f"{path}: a header line but no case; add a row per case")
    return calls


def _unique_case(record: Record, reader: str, lines: dict[tuple[str, str], str], remedy: str) -> str:
    """Return the record's case. Raises ImportFault for an empty one, and for one that is already in `lines`."""
    case = str(record.values["case_id"])
    if not case:
        raise ImportFault(f"{record.where}: case_id: empty; every row names its case")
    earlier = lines.setdefault((case, reader), record.where)
    if earlier != record.where:
        raise ImportFault(f"{record.where}: the same case as in {earlier.rpartition(', ')[2]}; {remedy}")
    return case
