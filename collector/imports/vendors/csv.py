"""CSV: any other system's labels or scores come in; keyed outputs go out. The shape is in docs/collector.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from collector.errors import ImportFault
from collector.imports.files import Record, binary, csv_records
from collector.imports.reads import LABELS
from collector.imports.vendors.base import (
    SCALES,
    Mapper,
    Output,
    number,
)


def read(path: Path, mapper: Mapper) -> Iterator[Output]:
    """Outputs in the file's order: a label is the call, a score alone is held against the rule. Raises ImportFault."""
    for record in csv_records(path, ()):
        if not {mapper.field("label"), mapper.field("score")} & set(record.values):
            raise ImportFault(f"{path}, line 1: no column label or score; one of them says what the system found")
        yield _output(record, mapper)


def _output(record: Record, mapper: Mapper) -> Output:
    version = str(mapper.value(record, "version") or "").strip() or "unknown"
    rule = mapper.rule(version, record.where)
    label = str(mapper.value(record, "label") or "")
    raw = number(mapper.value(record, "score"), "score", record.where)
    scale = mapper.scale(record, rule) if raw is not None else None
    score = raw / SCALES[scale] if raw is not None and scale else None
    if score is not None and not 0 <= score <= 1:
        raise ImportFault(f"{record.where}: score: a score of {scale} expected; is score_scale right?")
    by_score = None if score is None else score >= rule.at_least
    return Output(
        system=mapper.system,
        vendor=mapper.vendor,
        version=version,
        identifiers=mapper.identifiers(record),
        positive=binary(label, "label", record.where, LABELS) if label else by_score,
        score=score,
        at_least=None if label else rule.at_least,
        score_scale=scale,
        rule_version="label" if label else rule.rule_version,
        raw_scores={} if raw is None else {"score": raw},
    )
