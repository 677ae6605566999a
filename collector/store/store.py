"""Store: batches of arrivals and imports come in, each one transaction; rows for matching and for the pages go out.

SQLite by default (WAL, `synchronous=FULL`: what is committed survives a power cut), PostgreSQL by its URL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Row, Table, case, create_engine, event, func, inspect, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, SQLAlchemyError

from collector.errors import StoreAway, StoreError, Unstorable
from collector.store import tables

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0001"
REJECTED_KEPT = 10_000
Rowish = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows of one group commit, by table; columns as in `collector.store.tables`."""

    results: tuple[Rowish, ...] = ()
    boxes: tuple[Rowish, ...] = ()
    rejected: tuple[Rowish, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did."""

    new: int
    changed: int
    unchanged: int


class Store:
    """One database. Safe to share between threads."""

    def __init__(self, url: str, *, busy_s: float = 5.0) -> None:
        self.engine = _engine(url, busy_s)

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def migrate(self) -> None:
        """Bring the tables to this version's form. Raises StoreError when the database is not to be had."""
        if self._revision() == HEAD:
            return
        from alembic import command  # noqa: PLC0415  # a second of imports that only a change of form needs
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
        """One transaction that writes. Raises StoreAway or Unstorable; nothing of it is kept then."""
        with _translated(), self.engine.connect().execution_options(write=True) as connection, connection.begin():
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view. Raises StoreAway."""
        with _translated(), self.engine.connect() as connection, connection.begin():
            yield connection

    def commit(self, batch: Batch) -> int:
        """Store a batch in one transaction; a result already there is left as it is. How many results were new."""
        with self.writing() as connection:
            new = _put_results(connection, batch.results)
            for row in batch.boxes:
                _put_box(connection, row)
            if batch.rejected:
                connection.execute(tables.rejected_messages.insert(), [dict(row) for row in batch.rejected])
                _trim_rejected(connection)
        return new

    def put_imports(self, table: Table, rows: Sequence[Rowish]) -> Imported:
        """Upsert vendor outputs or reads by their primary key; the time of import alone is no change."""
        key = next(iter(table.primary_key.columns))
        with self.writing() as connection:
            before = {row[0]: row for row in connection.execute(select(key, *_content(table)))}
            changed = [r for r in rows if (was := before.get(r[key.name])) and tuple(was[1:]) != _values(table, r)]
            new = {r[key.name]: r for r in rows if r[key.name] not in before}
            for row in [*new.values(), *changed]:
                connection.execute(_upsert(connection, table, row))
        return Imported(new=len(new), changed=len(changed), unchanged=len(rows) - len(new) - len(changed))

    def rows(self, table: Table, *columns: str) -> Sequence[Row[Any]]:
        """All rows, in the order of the primary key; the named columns, or all."""
        chosen = [table.c[name] for name in columns] or list(table.c)
        with self.reading() as connection:
            return connection.execute(select(*chosen).order_by(*table.primary_key.columns)).all()

    def state(self) -> tuple[int | str | None, ...]:
        """Changes whenever results, vendor outputs or reads do: what a cached comparison is keyed on."""
        found: list[int | str | None] = []
        with self.reading() as connection:
            for table, column in (
                ("results", "received_at"),
                ("vendor_outputs", "imported_at"),
                ("reads", "imported_at"),
            ):
                stored = tables.metadata.tables[table]
                found += connection.execute(select(func.count(), func.max(stored.c[column])).select_from(stored)).one()
        return tuple(found)


def _engine(url: str, busy_s: float) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, pool_pre_ping=parsed.get_backend_name() != "sqlite")
    except (ArgumentError, ImportError) as error:
        raise StoreError(f"store.url: {url.partition(':')[0]}: {error}; install its driver or use sqlite") from None
    except OSError as error:
        raise StoreError(
            f"{error.filename}: {error.strerror}; name a folder that can be written in store.url"
        ) from None
    if engine.dialect.name == "sqlite":
        _durable_sqlite(engine, busy_s)
    return engine


def _durable_sqlite(engine: Engine, busy_s: float) -> None:
    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins no transactions of its own
        for pragma in (f"busy_timeout={int(busy_s * 1000)}", "journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        # A reader that turns writer half-way is refused at once; whoever will write takes the lock at the start.
        write = connection.get_execution_options().get("write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (DataError, IntegrityError) as error:
        raise Unstorable(f"store: {type(error).__name__}") from None
    except DBAPIError as error:  # locked, full, gone, damaged: the message is not to blame
        raise StoreAway(f"store: {error.orig}") from None
    except sqlite3.Error as error:  # from the settings of a new connection, which SQLAlchemy does not wrap
        raise StoreAway(f"store: {error}") from None
    except SQLAlchemyError as error:
        raise Unstorable(f"store: {type(error).__name__}") from None
    except (OverflowError, UnicodeEncodeError) as error:
        raise Unstorable(f"store: value does not fit ({type(error).__name__})") from None


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def _upsert(connection: Connection, table: Table, row: Rowish) -> sqlite.Insert | postgresql.Insert:
    insert = _insert(connection, table).values(**row)
    keys = [column.name for column in table.primary_key.columns]
    return insert.on_conflict_do_update(index_elements=keys, set_={n: v for n, v in row.items() if n not in keys})


def _put_results(connection: Connection, rows: Sequence[Rowish]) -> int:
    if not rows:
        return 0
    first = {row["result_id"]: row for row in reversed(rows)}
    stored = tables.results.c
    known = connection.execute(select(stored.result_id, stored.seq).where(stored.result_id.in_(list(first))))
    before = {found.result_id: found.seq for found in known}
    new = [dict(row) for id_, row in first.items() if id_ not in before]
    if new:
        connection.execute(_insert(connection, tables.results).on_conflict_do_nothing(), new)
    seqs = before | {row["result_id"]: row["seq"] for row in new}
    again = [row for row in rows if row["seq"] != seqs[row["result_id"]]]
    if again:
        names = ("site", "device", "seq", "result_id")
        values = [{name: row[name] for name in names} for row in again]
        connection.execute(_insert(connection, tables.repeated_seqs).on_conflict_do_nothing(), values)
    return len(new)


def _put_box(connection: Connection, row: Rowish) -> None:
    insert = _insert(connection, tables.boxes).values(**row)
    columns: dict[str, Any] = {name: insert.excluded[name] for name in row if name not in {"site", "device"}}
    if "last_seq" in columns:  # messages come in any order, and several collectors may share a box
        newer = columns["last_seq"] > func.coalesce(tables.boxes.c.last_seq, -1)
        columns["last_seq"] = case((newer, columns["last_seq"]), else_=tables.boxes.c.last_seq)
    connection.execute(insert.on_conflict_do_update(index_elements=["site", "device"], set_=columns))


def _trim_rejected(connection: Connection) -> None:
    table = tables.rejected_messages
    newest = connection.execute(select(func.max(table.c.id))).scalar() or 0
    connection.execute(table.delete().where(table.c.id <= newest - REJECTED_KEPT))


def _content(table: Table) -> list[Any]:
    keys = {column.name for column in table.primary_key.columns} | {"imported_at"}
    return [column for column in table.c if column.name not in keys]


def _values(table: Table, row: Rowish) -> tuple[Any, ...]:
    return tuple(row.get(column.name) for column in _content(table))
