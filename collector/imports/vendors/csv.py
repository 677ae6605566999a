"""CSV: labels or scores of any other system come in; vendor outputs go out. docs/collector.md has the format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from collector.imports.files import ImportFault, Record, csv_records, parse_label
from collector.imports.reads import LABELS
from collector.imports.vendors.base import SCALES, Call, Mapper, number
from collector.store.rows import VendorOutput


def read_outputs(path: Path, mapper: Mapper) -> Iterator[VendorOutput]:
    """Yield outputs in the file's order. A label is the call; a score alone is compared with the rule's threshold.

    Raises ImportFault naming the line.
    """
    for record in csv_records(path, ()):
        if not {mapper.field("label"), mapper.field("score")} & set(record.values):
            raise ImportFault(f"{path}, line 1: no column label or score; at least one of them is needed")
        yield mapper.output(record, _call(record, mapper))


def _call(record: Record, mapper: Mapper) -> Call:
    rule = mapper.rule(record)
    label = str(mapper.value(record, "label") or "")
    raw = number(mapper.value(record, "score"), "score", record.where)
    scale = mapper.scale(record, rule) if raw is not None else None
    score = raw / SCALES[scale] if raw is not None and scale else None
    if score is not None and not 0 <= score <= 1:
        raise ImportFault(f"{record.where}: score: expected a score on {scale}; is score_scale right?")
    by_score = None if score is None else score >= rule.at_least
    return Call(
        positive=parse_label(label, "label", record.where, LABELS) if label else by_score,
        score=score,
        at_least=None if label else rule.at_least,
        score_scale=scale,
        rule_version="label" if label else rule.rule_version,
        raw_scores={} if raw is None else {"score": raw},
    )
