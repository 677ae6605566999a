"""Queries: the store comes in; the rows of a comparison and of the pages of boxes and results go out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, union_all

from collector.store import tables
from collector.store.rows import Read, RejectedMessage, StudyResult, VendorOutput
from collector.store.store import Store
from collector.store.tables import boxes, rejected_messages, repeated_seqs, results

GAPS_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Sequence numbers `first` to `last` of a box have not arrived; they may still be on their way."""

    first: int
    last: int

    @property
    def count(self) -> int:
        """How many numbers are missing."""
        return self.last - self.first + 1

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}\u2013{self.last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One box as the collector sees it. `health` is the box's latest health message."""

    site: str
    device: str
    status: str | None
    last_seen_at: datetime
    last_result_at: datetime | None
    last_seq: int | None
    results: int
    missing: int
    gaps: tuple[Gap, ...]
    health: Mapping[str, object]
    health_at: datetime | None


def study_results(store: Store) -> list[StudyResult]:
    """Return every result, in the order of result ids, with the columns that a comparison needs."""
    return [StudyResult._make(row) for row in store.rows(tables.results, *StudyResult._fields)]


def vendor_outputs(store: Store) -> list[VendorOutput]:
    """Return every vendor output, in the order of output ids."""
    names = [field.name for field in fields(VendorOutput)]
    return [VendorOutput(**row._asdict()) for row in store.rows(tables.vendor_outputs, *names)]


def reads(store: Store) -> list[Read]:
    """Return every read, in the order of read ids."""
    names = [field.name for field in fields(Read)]
    return [Read(**row._asdict()) for row in store.rows(tables.reads, *names)]


def all_boxes(store: Store) -> list[Box]:
    """Return every box ever seen, by name. `gaps` holds the first few gaps, `missing` counts all numbers."""
    with store.reading() as connection:
        rows = connection.execute(select(boxes).order_by(boxes.c.site, boxes.c.device)).all()
        per_box = select(results.c.site, results.c.device, func.count()).group_by(results.c.site, results.c.device)
        counts = {(site, device): count for site, device, count in connection.execute(per_box)}
        gaps = _gaps(connection)
    return [_box(row, counts.get((row.site, row.device), 0), gaps.get((row.site, row.device), ())) for row in rows]


def _box(row: Row[Any], results_stored: int, gaps: Sequence[Gap]) -> Box:
    return Box(
        site=row.site,
        device=row.device,
        status=row.status,
        last_seen_at=row.last_seen_at,
        last_result_at=row.last_result_at,
        last_seq=row.last_seq,
        results=results_stored,
        missing=sum(gap.count for gap in gaps),
        gaps=tuple(gaps[:GAPS_SHOWN]),
        health=row.health or {},
        health_at=row.health_at,
    )


def _gaps(connection: Connection) -> dict[tuple[str, str], list[Gap]]:
    """Return the gaps of each box between its first and its last sequence number."""
    seen = union_all(
        select(results.c.site, results.c.device, results.c.seq),
        select(repeated_seqs.c.site, repeated_seqs.c.device, repeated_seqs.c.seq),
    ).subquery()
    following = func.lead(seen.c.seq).over(partition_by=[seen.c.site, seen.c.device], order_by=seen.c.seq)
    steps = select(seen.c.site, seen.c.device, seen.c.seq, following.label("following")).subquery()
    gaps: dict[tuple[str, str], list[Gap]] = defaultdict(list)
    wide = select(steps).where(steps.c.following > steps.c.seq + 1).order_by(steps.c.site, steps.c.device, steps.c.seq)
    for site, device, seq, next_seq in connection.execute(wide):
        gaps[site, device].append(Gap(first=seq + 1, last=next_seq - 1))
    return gaps


def latest_results(store: Store, limit: int = 100) -> Sequence[Row[Any]]:
    """Return the newest results first, without their bodies."""
    columns = [column for column in results.c if column.name != "body"]
    with store.reading() as connection:
        query = select(*columns).order_by(results.c.received_at.desc(), results.c.seq.desc()).limit(limit)
        return connection.execute(query).all()


def flag_counts(store: Store) -> dict[str, int]:
    """Return the number of results of each flag."""
    with store.reading() as connection:
        query = select(results.c.flag, func.count()).group_by(results.c.flag)
        return {row.flag: row[1] for row in connection.execute(query)}


def rejected(store: Store, limit: int = 20) -> list[RejectedMessage]:
    """Return the newest rejected messages first."""
    columns = [rejected_messages.c[field.name] for field in fields(RejectedMessage)]
    with store.reading() as connection:
        query = select(*columns).order_by(rejected_messages.c.id.desc()).limit(limit)
        return [RejectedMessage(**row._asdict()) for row in connection.execute(query)]
