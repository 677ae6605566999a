"""From the store: its results, vendor outputs and reads come in; a study of boxes and vendors goes out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from collector import compare
from collector.compare import Call, Reference, System
from collector.config import CompareConfig
from collector.store import queries
from collector.store.rows import Read, StudyResult, VendorOutput
from collector.store.store import Store
from collector.study.counting_rules import REVIEW_AT, counting, groups
from collector.study.matching import (
    ExposureIndex,
    Match,
    MatchedRecord,
    NoMatch,
    StoredExposure,
    consistent_record,
)
from collector.study.study import Study, ties_of

BOX_SYSTEM = "pneumoflag"
Record = TypeVar("Record", bound=Read | VendorOutput)


def stored_study(store: Store, config: CompareConfig) -> Study:
    """Return a study of everything the store holds, matched. Raises StoreUnavailable."""
    results = queries.study_results(store)
    outputs = queries.vendor_outputs(store)
    exposures = index_exposures(results, config)
    reference, unmatched_reads = _reference(queries.reads(store), exposures)
    return Study(
        reference=reference,
        systems=(*_box_systems(results, reference, config), *_vendor_systems(outputs, exposures, reference)),
        unread=len(set(exposures.by_id) - set(reference.labels) - set(reference.ties)),
        counting=counting(config, results, outputs),
        notes=_notes(reference, unmatched_reads, exposures),
        groups=groups(reference, exposures),
    )


def index_exposures(results: Iterable[StudyResult], config: CompareConfig) -> ExposureIndex:
    """Return one exposure per exposure id; accepted when any model's gate accepted it."""
    rows: dict[str, StudyResult] = {}
    for row in results:
        if row.exposure_id not in rows or row.gate_status == "accepted":
            rows[row.exposure_id] = row
    return ExposureIndex(
        (
            StoredExposure(
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
            for row in rows.values()
        ),
        repeats=config.repeats,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matches(Generic[Record]):
    """Records of one source by exposure, and those without an exposure by reason."""

    by_exposure: Mapping[str, Sequence[MatchedRecord]]
    without: Mapping[NoMatch, Sequence[Record]]


def _match_all(records: Iterable[Record], exposures: ExposureIndex) -> _Matches[Record]:
    by_exposure: dict[str, list[MatchedRecord]] = defaultdict(list)
    without: dict[NoMatch, list[Record]] = {reason: [] for reason in NoMatch}
    for record in records:
        match = exposures.match(record)
        if isinstance(match, Match):
            score = record.score if isinstance(record, VendorOutput) else None
            matched = MatchedRecord(level=match.level, positive=record.positive, score=score)
            by_exposure[match.exposure_id].append(matched)
        else:
            without[match].append(record)
    return _Matches(by_exposure=by_exposure, without=without)


def _reference(reads: Sequence[Read], exposures: ExposureIndex) -> tuple[Reference, Mapping[NoMatch, int]]:
    """Return the readers' majority, and how many reads have no exposure or contradict each other."""
    labels: dict[str, dict[str, bool]] = defaultdict(dict)
    unmatched = dict.fromkeys(NoMatch, 0)
    for reader in sorted({read.reader for read in reads}):
        matches = _match_all((read for read in reads if read.reader == reader), exposures)
        for exposure_id, records in matches.by_exposure.items():
            record = consistent_record(records)
            if record is None or record.positive is None:
                unmatched[NoMatch.AMBIGUOUS] += 1
            else:
                labels[exposure_id][reader] = record.positive
        for reason, lost in matches.without.items():
            unmatched[reason] += len(lost)
    return compare.reference(labels), unmatched


def _box_systems(results: Sequence[StudyResult], reference: Reference, config: CompareConfig) -> list[System]:
    """One system per model, named by its version, and by its digest where two share a version."""
    by_digest: dict[str, list[StudyResult]] = defaultdict(list)
    for row in results:
        by_digest[row.model_digest].append(row)
    versions = [rows[0].model_version for rows in by_digest.values()]
    systems = []
    for digest, rows in sorted(by_digest.items(), key=lambda item: (item[1][0].model_version, item[0])):
        version = rows[0].model_version
        name = BOX_SYSTEM if len(by_digest) == 1 else f"{BOX_SYSTEM} v{version}"
        if versions.count(version) > 1:
            name += f" {digest[:8]}"
        systems.append(_box_system(name, rows, reference, config))
    return systems


def _box_system(name: str, rows: Sequence[StudyResult], reference: Reference, config: CompareConfig) -> System:
    calls: dict[str, Call] = {}
    unclassified = []
    for row in rows:
        label = reference.labels.get(row.exposure_id)
        if row.flag == "unclassified":
            unclassified.append(row.exposure_id)
            if config.unclassified == "wrong" and label is not None:
                calls[row.exposure_id] = Call(positive=not label)
        else:
            calls[row.exposure_id] = Call(positive=_is_positive(row, config), score=row.probability)
    with_result = {row.exposure_id for row in rows}
    excluded = {
        "unclassified": tuple(case for case in unclassified if case in reference.labels and case not in calls),
        "missing_in_system": tuple(case for case in reference.labels if case not in with_result),
    }
    return System(name=name, calls=calls, excluded=ties_of(reference) | excluded)


def _is_positive(row: StudyResult, config: CompareConfig) -> bool:
    if row.flag != "review":
        return row.flag == "pneumonia"
    if config.review == "probability":
        return row.probability is not None and row.probability >= REVIEW_AT
    return config.review == "pneumonia"


def _vendor_systems(outputs: Sequence[VendorOutput], exposures: ExposureIndex, reference: Reference) -> list[System]:
    """One system per vendor system, and per version where one has several."""
    by_version: dict[tuple[str, str], list[VendorOutput]] = defaultdict(list)
    for output in outputs:
        by_version[output.system, output.version].append(output)
    names = [system for system, _ in by_version]
    return [
        _vendor_system(system if names.count(system) == 1 else f"{system} {version}", rows, exposures, reference)
        for (system, version), rows in sorted(by_version.items())
    ]


def _vendor_system(
    name: str, outputs: Sequence[VendorOutput], exposures: ExposureIndex, reference: Reference
) -> System:
    matches = _match_all(outputs, exposures)
    calls: dict[str, Call] = {}
    excluded: dict[str, list[str]] = {"no_score": [], "conflicting": []}
    for exposure_id, records in matches.by_exposure.items():
        record = consistent_record(records)
        if record is not None and record.positive is not None:
            calls[exposure_id] = Call(positive=record.positive, score=record.score)
        elif exposure_id in reference.labels:
            excluded["conflicting" if record is None else "no_score"].append(exposure_id)
    excluded |= {str(reason): [row.output_id for row in rows] for reason, rows in matches.without.items()}
    excluded["missing_in_system"] = [case for case in reference.labels if case not in matches.by_exposure]
    by_reason = {reason: tuple(cases) for reason, cases in excluded.items()}
    return System(name=name, calls=calls, excluded=ties_of(reference) | by_reason)


def _notes(reference: Reference, unmatched_reads: Mapping[NoMatch, int], exposures: ExposureIndex) -> tuple[str, ...]:
    notes = []
    if count := unmatched_reads[NoMatch.UNMATCHED]:
        notes.append(f"Reads of exposures that are not in the store: {count}.")
    if count := unmatched_reads[NoMatch.AMBIGUOUS]:
        notes.append(f"Reads left out because they match several exposures or contradict each other: {count}.")
    patients = {exposures.by_id[case].patient_id or case for case in reference.labels}
    if len(patients) < len(reference.labels):
        notes.append(
            f"Exposures: {len(reference.labels)}, patients: {len(patients)}. "
            "Exposures of one patient are alike, so the intervals are somewhat too narrow."
        )
    return tuple(notes)
