"""The database connection: an engine that commits durably, and its errors named for what happens next."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from console.errors import ExpectedError


class StoreError(ExpectedError):
    """The store cannot be opened or used; the message names it and the remedy."""


class StoreUnavailable(StoreError):
    """Locked, full, damaged or unreachable: what was to be stored is kept, and tried again."""


class InvalidValue(StoreError):
    """A value does not fit the store (a number beyond 64 bits, text that is no Unicode); a retry will not help."""


def open_engine(url: str, busy_s: float) -> Engine:
    """Return an engine for a URL; nothing is connected yet. Raises StoreError for a URL that cannot be used.

    SQLite runs in WAL mode with `synchronous=FULL`, so that what is committed survives a power cut. A lock of another
    process is waited for `busy_s` seconds.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, pool_pre_ping=parsed.get_backend_name() != "sqlite")
    except (ArgumentError, ImportError) as error:
        raise StoreError(f"store.url: {url.partition(':')[0]}: {error}; install its driver or use sqlite") from None
    except OSError as error:
        raise StoreError(f"{error.filename}: {error.strerror}; name a writable folder in store.url") from None
    if engine.dialect.name == "sqlite":
        _make_sqlite_durable(engine, busy_s)
    return engine


def _make_sqlite_durable(engine: Engine, busy_s: float) -> None:
    @event.listens_for(engine, "connect")
    def _on_connect(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver begins no transactions of its own
        for pragma in (f"busy_timeout={int(busy_s * 1000)}", "journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        # SQLite refuses at once a reader that turns writer half-way; a writer takes the lock at the start.
        write = connection.get_execution_options().get("write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise StoreUnavailable where a later try can succeed, InvalidValue where it cannot."""
    try:
        yield
    except (DataError, IntegrityError) as error:
        raise InvalidValue(f"store.url: {type(error).__name__}") from None
    except DBAPIError as error:  # locked, full, gone, damaged: the message is not to blame
        raise StoreUnavailable(f"store.url: {error.orig}") from None
    except sqlite3.Error as error:  # from the settings of a new connection, which SQLAlchemy does not wrap
        raise StoreUnavailable(f"store.url: {error}") from None
    except SQLAlchemyError as error:
        raise InvalidValue(f"store.url: {type(error).__name__}") from None
    except (OverflowError, UnicodeEncodeError) as error:
        raise InvalidValue(f"store.url: a value does not fit ({type(error).__name__})") from None
