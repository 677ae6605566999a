"""Case lists: plain CSVs of reads and of systems' labels come in; a study, ready to compare, goes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from collector import compare
from collector.compare import Call, System
from collector.errors import ImportFault
from collector.imports.files import Record, binary, csv_records
from collector.imports.vendors.base import number
from collector.study.study import Study, excluded_beside

LABELS = {"0": False, "1": True, "0.0": False, "1.0": True}
NO_REFERENCE = "no_read"
NO_CALL = "missing_in_system"


def study(reads: Path, systems: Sequence[tuple[str, Path]]) -> Study:
    """Reads as `case_id,label` or `case_id,reader,label`; systems as `case_id,label[,score]`.

    Raises ImportFault naming file, line and remedy.
    """
    by_case = _reads(reads)
    if not by_case:
        raise ImportFault(f"{reads}: a header line but no case; add a row per case")
    reference = compare.reference(by_case)
    found = []
    for name, path in systems:
        calls = _calls(path)
        if not calls:
            raise ImportFault(f"{path}: a header line but no case; add a row per case")
        found.append(System(name=name, calls=calls, excluded=_excluded(by_case, reference, calls)))
    return Study(reference=reference, systems=tuple(found), unread=0, notes=_notes(reference.labels, found))


def _excluded(reads: compare.Reads, reference: compare.Reference, calls: dict[str, Call]) -> dict[str, tuple[str, ...]]:
    return excluded_beside(reference) | {
        NO_REFERENCE: tuple(case for case in calls if case not in reads),
        NO_CALL: tuple(case for case in reference.labels if case not in calls),
    }


def _notes(labels: Mapping[str, bool], systems: Sequence[System]) -> tuple[str, ...]:
    return tuple(
        f"{system.name}: none of its cases has a read; do the case_id columns match?"
        for system in systems
        if not set(system.calls) & set(labels)
    )


def _reads(path: Path) -> dict[str, dict[str, bool]]:
    found: dict[str, dict[str, bool]] = {}
    seen: dict[tuple[str, str], str] = {}
    for record in csv_records(path, ("case_id", "label")):
        reader = record.values.get("reader", "")
        if "reader" in record.values and not reader:
            raise ImportFault(f"{record.where}: reader: empty; name the reader in every row, or leave the column out")
        case = _case(record)
        remedy = "remove one" if reader else "remove one, or name the readers in a column reader"
        _once(seen, (case, reader), record, remedy)
        found.setdefault(case, {})[reader or "reader"] = binary(record.values["label"], "label", record.where, LABELS)
    return found


def _calls(path: Path) -> dict[str, Call]:
    found: dict[str, Call] = {}
    seen: dict[tuple[str, str], str] = {}
    for record in csv_records(path, ("case_id", "label")):
        case = _case(record)
        _once(seen, (case, ""), record, "keep the one that counts")
        found[case] = Call(
            positive=binary(record.values["label"], "label", record.where, LABELS),
            score=number(record.values.get("score"), "score", record.where),
        )
    return found


def _case(record: Record) -> str:
    case = str(record.values["case_id"])
    if not case:
        raise ImportFault(f"{record.where}: case_id: empty; every row names its case")
    return case


def _once(seen: dict[tuple[str, str], str], key: tuple[str, str], record: Record, remedy: str) -> None:
    if key in seen:
        raise ImportFault(f"{record.where}: the same case as in {seen[key].rpartition(', ')[2]}; {remedy}")
    seen[key] = record.where
