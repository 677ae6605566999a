"""Studies: the store's rows come in; a study of the boxes and the vendors by the radiologists' reads goes out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from collector import compare
from collector.compare import Call, Reference, System
from collector.config import CompareConfig
from collector.store import tables
from collector.store.store import Store
from collector.study.counting_rules import REVIEW_AT, counting, groups
from collector.study.identifiers import Identifiers
from collector.study.matching import (
    Film,
    Films,
    Found,
    Level,
    Miss,
    Said,
    settle,
)
from collector.study.study import Study, excluded_beside

BOX = "pneumoflag"
RESULT_COLUMNS = (
    *("exposure_id", "study_id", "accession_id", "patient_id", "acquired_at", "view", "sex", "age_years"),
    *("gate_status", "flag", "probability", "model_name", "model_version", "model_digest"),
)
Rows = Sequence[Any]


def stored_study(store: Store, config: CompareConfig) -> Study:
    """Everything the store holds, matched. Raises StoreAway."""
    results = store.rows(tables.results, *RESULT_COLUMNS)
    films = films_of(results, config)
    reference, missed_reads = _reference(store.rows(tables.reads), films)
    outputs = store.rows(tables.vendor_outputs)
    systems = [*_boxes(results, reference, config), *_vendors(outputs, films, reference)]
    return Study(
        reference=reference,
        systems=tuple(systems),
        unread=len(set(films.by_exposure) - set(reference.labels) - set(reference.ties)),
        counting=counting(config, results, outputs),
        notes=_notes(reference, missed_reads, films),
        groups=groups(reference, films),
    )


def films_of(results: Rows, config: CompareConfig) -> Films:
    """One film per exposure; accepted when any model's gate accepted it."""
    rows: dict[str, Any] = {}
    for row in results:
        if row.exposure_id not in rows or row.gate_status == "accepted":
            rows[row.exposure_id] = row
    return Films((_film(row) for row in rows.values()), repeats=config.repeats)


def _film(row: Any) -> Film:
    return Film(
        exposure_id=row.exposure_id,
        study_id=row.study_id,
        accession_id=row.accession_id,
        patient_id=row.patient_id,
        acquired_at=row.acquired_at,
        view=row.view,
        accepted=row.gate_status == "accepted",
        sex=row.sex,
        age_years=row.age_years,
    )


def _matched(
    records: Iterable[tuple[str, Said, Identifiers]], films: Films
) -> tuple[dict[str, list[Said]], dict[Miss, list[str]]]:
    """Records by film, and those without one by why."""
    by_film: dict[str, list[Said]] = defaultdict(list)
    missed: dict[Miss, list[str]] = {miss: [] for miss in Miss}
    for record, said, identifiers in records:
        found = films.find(identifiers)
        if isinstance(found, Found):
            placed = Said(record=said.record, level=found.level, positive=said.positive, score=said.score)
            by_film[found.exposure_id].append(placed)
        else:
            missed[found].append(record)
    return by_film, missed


def _records(rows: Rows, name: str) -> Iterable[tuple[str, Said, Identifiers]]:
    for row in rows:
        record = getattr(row, name)
        score = getattr(row, "score", None)
        positive = None if row.positive is None else bool(row.positive)
        identifiers = Identifiers(
            exposure_id=row.exposure_id, study_id=row.study_id, accession_id=row.accession_id, patient_id=row.patient_id
        )
        yield record, Said(record=record, level=Level.EXPOSURE, positive=positive, score=score), identifiers


def _reference(rows: Rows, films: Films) -> tuple[Reference, dict[Miss, int]]:
    reads: dict[str, dict[str, bool]] = defaultdict(dict)
    missed = dict.fromkeys(Miss, 0)
    for reader in sorted({row.reader for row in rows}):
        by_film, lost = _matched(_records([row for row in rows if row.reader == reader], "read_id"), films)
        for exposure_id, said in by_film.items():
            word = settle(said)
            if word is None or word.positive is None:
                missed[Miss.AMBIGUOUS] += 1
            else:
                reads[exposure_id][reader] = word.positive
        for miss in Miss:
            missed[miss] += len(lost[miss])
    return compare.reference(reads), missed


def _boxes(results: Rows, reference: Reference, config: CompareConfig) -> list[System]:
    by_digest: dict[str, list[Any]] = defaultdict(list)
    for row in results:
        by_digest[row.model_digest].append(row)
    versions = [rows[0].model_version for rows in by_digest.values()]
    systems = []
    for digest, rows in sorted(by_digest.items(), key=lambda item: (item[1][0].model_version, item[0])):
        version = rows[0].model_version
        name = BOX if len(by_digest) == 1 else f"{BOX} v{version}"
        if versions.count(version) > 1:
            name += f" {digest[:8]}"
        systems.append(_box(name, rows, reference, config))
    return systems


def _box(name: str, rows: Rows, reference: Reference, config: CompareConfig) -> System:
    calls: dict[str, Call] = {}
    unclassified = []
    for row in rows:
        truth = reference.labels.get(row.exposure_id)
        if row.flag == "unclassified":
            unclassified.append(row.exposure_id)
            if config.unclassified == "wrong" and truth is not None:
                calls[row.exposure_id] = Call(positive=not truth)
        else:
            calls[row.exposure_id] = Call(positive=_positive(row, config), score=row.probability)
    read = [exposure for exposure in unclassified if exposure in reference.labels and exposure not in calls]
    seen = {row.exposure_id for row in rows}
    return System(
        name=name,
        calls=calls,
        excluded=excluded_beside(reference)
        | {"unclassified": tuple(read), "missing_in_system": tuple(c for c in reference.labels if c not in seen)},
    )


def _positive(row: Any, config: CompareConfig) -> bool:
    if row.flag != "review":
        return bool(row.flag == "pneumonia")
    return bool(row.probability >= REVIEW_AT) if config.review == "probability" else config.review == "pneumonia"


def _vendors(rows: Rows, films: Films, reference: Reference) -> list[System]:
    by_version: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in rows:
        by_version[row.system, row.version].append(row)
    names = [system for system, _ in by_version]
    return [
        _vendor(system if names.count(system) == 1 else f"{system} {version}", outputs, films, reference)
        for (system, version), outputs in sorted(by_version.items())
    ]


def _vendor(name: str, rows: Rows, films: Films, reference: Reference) -> System:
    by_film, missed = _matched(_records(rows, "output_id"), films)
    calls: dict[str, Call] = {}
    left: dict[str, list[str]] = {"no_score": [], "conflicting": []}
    for exposure_id, said in by_film.items():
        word = settle(said)
        if word is not None and word.positive is not None:
            calls[exposure_id] = Call(positive=word.positive, score=word.score)
        elif exposure_id in reference.labels:
            left["conflicting" if word is None else "no_score"].append(exposure_id)
    excluded: Mapping[str, Sequence[str]] = {
        **left,
        **{str(miss): records for miss, records in missed.items()},
        "missing_in_system": [case for case in reference.labels if case not in by_film],
    }
    return System(
        name=name, calls=calls, excluded=excluded_beside(reference) | {k: tuple(v) for k, v in excluded.items()}
    )


def _notes(reference: Reference, missed: Mapping[Miss, int], films: Films) -> tuple[str, ...]:
    notes = []
    if missed[Miss.UNMATCHED]:
        notes.append(f"{missed[Miss.UNMATCHED]} reads name a film that is not in the store.")
    if missed[Miss.AMBIGUOUS]:
        notes.append(f"{missed[Miss.AMBIGUOUS]} reads fit several films, or contradict themselves; none was guessed.")
    patients = [films.by_exposure[case].patient_id or case for case in reference.labels]
    if len(set(patients)) < len(patients):
        counts = f"{len(patients)} films of {len(set(patients))} patients"
        notes.append(f"{counts}: films of one patient are alike, so the intervals are somewhat too narrow.")
    return tuple(notes)
