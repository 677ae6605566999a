"""Queries: the store comes in; what the pages of boxes and results show goes out."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, select, union_all

from collector.store.store import Store
from collector.store.tables import (
    boxes,
    rejected_messages,
    repeated_seqs,
    results,
)

GAPS_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Numbers `first` to `last` of a box have not come; they may still be on their way."""

    first: int
    last: int

    @property
    def count(self) -> int:
        """How many."""
        return self.last - self.first + 1

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}\u2013{self.last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One box as the collector knows it. Times are ISO 8601 in UTC. `health` is the box's last word on itself."""

    site: str
    device: str
    status: str | None
    last_seen_at: str
    last_result_at: str | None
    last_seq: int | None
    results: int
    missing: int
    gaps: tuple[Gap, ...]
    health: Mapping[str, Any]
    health_at: str | None


def all_boxes(store: Store) -> list[Box]:
    """Every box ever heard, by name. `gaps` holds the first few, `missing` counts all."""
    with store.reading() as connection:
        rows = connection.execute(select(boxes).order_by(boxes.c.site, boxes.c.device)).all()
        counted = select(results.c.site, results.c.device, func.count()).group_by(results.c.site, results.c.device)
        counts = {(site, device): count for site, device, count in connection.execute(counted)}
        gaps = _gaps(connection)
    return [_box(row, counts, gaps) for row in rows]


def _box(row: Row[Any], counts: Mapping[tuple[str, str], int], gaps: Mapping[tuple[str, str], Sequence[Gap]]) -> Box:
    own = gaps.get((row.site, row.device), ())
    return Box(
        site=row.site,
        device=row.device,
        status=row.status,
        last_seen_at=row.last_seen_at,
        last_result_at=row.last_result_at,
        last_seq=row.last_seq,
        results=counts.get((row.site, row.device), 0),
        missing=sum(gap.count for gap in own),
        gaps=tuple(own[:GAPS_SHOWN]),
        health=json.loads(row.health) if row.health else {},
        health_at=row.health_at,
    )


def _gaps(connection: Connection) -> dict[tuple[str, str], list[Gap]]:
    """Where a box's next number is not the next: from the first number ever seen to the last."""
    seen = union_all(
        select(results.c.site, results.c.device, results.c.seq),
        select(repeated_seqs.c.site, repeated_seqs.c.device, repeated_seqs.c.seq),
    ).subquery()
    following = func.lead(seen.c.seq).over(partition_by=[seen.c.site, seen.c.device], order_by=seen.c.seq)
    steps = select(seen.c.site, seen.c.device, seen.c.seq, following.label("following")).subquery()
    found: dict[tuple[str, str], list[Gap]] = defaultdict(list)
    wide = select(steps).where(steps.c.following > steps.c.seq + 1).order_by(steps.c.site, steps.c.device, steps.c.seq)
    for site, device, seq, following in connection.execute(wide):
        found[site, device].append(Gap(first=seq + 1, last=following - 1))
    return found


def latest_results(store: Store, limit: int = 100) -> Sequence[Row[Any]]:
    """The newest results first; no bodies."""
    columns = [column for column in results.c if column.name != "body"]
    with store.reading() as connection:
        query = select(*columns).order_by(results.c.received_at.desc(), results.c.seq.desc()).limit(limit)
        return connection.execute(query).all()


def flag_counts(store: Store) -> dict[str, int]:
    """Results by flag."""
    with store.reading() as connection:
        found = connection.execute(select(results.c.flag, func.count()).group_by(results.c.flag))
        return {row.flag: row[1] for row in found}


def rejections(store: Store, limit: int = 20) -> Sequence[Row[Any]]:
    """The newest messages that were not the contract's."""
    with store.reading() as connection:
        query = select(rejected_messages).order_by(rejected_messages.c.id.desc()).limit(limit)
        return connection.execute(query).all()
