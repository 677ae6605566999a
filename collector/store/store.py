"""The store: batches of messages and imports come in, each in one transaction; rows go out.

SQLite by default, PostgreSQL by its URL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Table, case, func, inspect, select, text
from sqlalchemy.dialects import postgresql, sqlite

from collector.store import tables
from collector.store.database import open_engine, store_errors
from collector.store.rows import BoxUpdate, Read, RejectedMessage, ResultRow, VendorOutput

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0001"
REJECTED_KEPT = 10_000
"""Rejected messages that are kept; the oldest are deleted first."""

State = tuple[int | datetime | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows of one group commit."""

    results: tuple[ResultRow, ...] = ()
    boxes: tuple[BoxUpdate, ...] = ()
    rejected: tuple[RejectedMessage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportCounts:
    """How many records of an import were new, changed, and already there."""

    new: int
    changed: int
    unchanged: int


class Store:
    """One database. Safe to share between threads."""

    def __init__(self, url: str, *, busy_s: float = 5.0) -> None:
        self.engine = open_engine(url, busy_s)

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    def migrate(self) -> None:
        """Bring the tables to this version's schema. Raises StoreError when the database is unavailable."""
        if self._revision() == HEAD:
            return
        from alembic import command  # noqa: PLC0415  # a second of imports that only a migration needs
        from alembic.config import Config as AlembicConfig  # noqa: PLC0415

        config = AlembicConfig()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        with self.writing() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def _revision(self) -> str | None:
        with self.reading() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction that writes. Raises StoreUnavailable or InvalidValue; nothing of it is kept then."""
        with store_errors(), self.engine.connect().execution_options(write=True) as connection, connection.begin():
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view. Raises StoreUnavailable."""
        with store_errors(), self.engine.connect() as connection, connection.begin():
            yield connection

    def commit(self, batch: Batch) -> int:
        """Store a batch in one transaction and return how many results were new. Stored results never change."""
        with self.writing() as connection:
            new = _insert_results(connection, batch.results)
            for update in batch.boxes:
                _update_box(connection, update)
            if batch.rejected:
                rows = [_columns(message) for message in batch.rejected]
                connection.execute(tables.rejected_messages.insert(), rows)
                _trim_rejected(connection)
        return new

    def put_imports(self, table: Table, records: Sequence[VendorOutput] | Sequence[Read]) -> ImportCounts:
        """Upsert vendor outputs or reads by their primary key. Another time of import alone is no change."""
        key = next(iter(table.primary_key.columns)).name
        content = [column for column in table.c if column.name not in {key, "imported_at"}]
        rows = [_columns(record) for record in records]
        with self.writing() as connection:
            stored = {row[0]: row[1:] for row in connection.execute(select(table.c[key], *content))}
            new = {row[key]: row for row in rows if row[key] not in stored}
            changed = [
                row
                for row in rows
                if row[key] in stored and tuple(stored[row[key]]) != tuple(row[column.name] for column in content)
            ]
            for row in [*new.values(), *changed]:
                upsert = _insert(connection, table).values(**row)
                values = {name: value for name, value in row.items() if name != key}
                connection.execute(upsert.on_conflict_do_update(index_elements=[key], set_=values))
        return ImportCounts(new=len(new), changed=len(changed), unchanged=len(rows) - len(new) - len(changed))

    def rows(self, table: Table, *columns: str) -> Sequence[Row[Any]]:
        """Return all rows in the order of the primary key, with the named columns or all."""
        selected = [table.c[name] for name in columns] or list(table.c)
        with self.reading() as connection:
            return connection.execute(select(*selected).order_by(*table.primary_key.columns)).all()

    def state(self) -> State:
        """Return a value that changes whenever results, vendor outputs or reads do: the key of a cached comparison."""
        times = (tables.results.c.received_at, tables.vendor_outputs.c.imported_at, tables.reads.c.imported_at)
        state: list[int | datetime | None] = []
        with self.reading() as connection:
            for time in times:
                state += connection.execute(select(func.count(), func.max(time)).select_from(time.table)).one()
        return tuple(state)


def _columns(row: ResultRow | BoxUpdate | RejectedMessage | VendorOutput | Read) -> dict[str, object]:
    return {field.name: getattr(row, field.name) for field in fields(row)}


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def _insert_results(connection: Connection, rows: Sequence[ResultRow]) -> int:
    """Insert results that are not stored yet; keep every further sequence number of those that are."""
    if not rows:
        return 0
    first = {row.result_id: row for row in reversed(rows)}
    stored = tables.results.c
    query = select(stored.result_id, stored.seq).where(stored.result_id.in_(list(first)))
    seq_of: dict[str, int] = {row.result_id: row.seq for row in connection.execute(query)}
    new = [row for result_id, row in first.items() if result_id not in seq_of]
    if new:
        insert = _insert(connection, tables.results).on_conflict_do_nothing()
        connection.execute(insert, [_columns(row) for row in new])
    seq_of |= {row.result_id: row.seq for row in new}
    repeated = [
        {"site": row.site, "device": row.device, "seq": row.seq, "result_id": row.result_id}
        for row in rows
        if row.seq != seq_of[row.result_id]
    ]
    if repeated:
        connection.execute(_insert(connection, tables.repeated_seqs).on_conflict_do_nothing(), repeated)
    return len(new)


def _update_box(connection: Connection, update: BoxUpdate) -> None:
    insert = _insert(connection, tables.boxes).values(**_columns(update))
    names = [name for name, value in _columns(update).items() if value is not None and name not in {"site", "device"}]
    values: dict[str, Any] = {name: insert.excluded[name] for name in names}
    if "last_seq" in values:  # messages come in any order, and several collectors may share a box
        newer = values["last_seq"] > func.coalesce(tables.boxes.c.last_seq, -1)
        values["last_seq"] = case((newer, values["last_seq"]), else_=tables.boxes.c.last_seq)
    connection.execute(insert.on_conflict_do_update(index_elements=["site", "device"], set_=values))


def _trim_rejected(connection: Connection) -> None:
    table = tables.rejected_messages
    newest = connection.execute(select(func.max(table.c.id))).scalar() or 0
    connection.execute(table.delete().where(table.c.id <= newest - REJECTED_KEPT))
