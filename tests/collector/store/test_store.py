"""The store: idempotent and durable, with errors that say whether a retry helps."""

from __future__ import annotations

import json
import sqlite3
import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.ingest.messages import parse_message, to_batch
from collector.store import queries, tables
from collector.store.database import InvalidValue, StoreError, StoreUnavailable
from collector.store.store import (
    HEAD,
    MIGRATIONS,
    REJECTED_KEPT,
    Batch,
    Store,
)
from device.contract import Flag


def stored(store: Store, messages) -> int:
    return store.commit(to_batch(parse_message(message) for message in messages))


def test_the_migrations_make_the_tables_that_the_code_declares(store):
    with store.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
        assert MigrationContext.configure(connection).get_current_revision() == HEAD
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == HEAD
    store.migrate()


def test_sqlite_is_set_so_that_a_commit_survives_a_power_cut(store):
    with store.reading() as connection:
        assert connection.exec_driver_sql("pragma journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("pragma synchronous").scalar() == 2


def test_a_resend_changes_nothing_and_the_body_is_kept_as_it_came(store, a_result, a_message):
    message = a_message(a_result(1))
    assert stored(store, [message, message]) == 1
    assert stored(store, [message]) == 0
    (row,) = store.rows(tables.results)
    assert json.loads(row.body) == a_result(1).to_dict()
    assert (row.flag, row.probability, row.view, row.total_ms) == ("clear", 0.1, "PA", 7.0)


def test_the_first_result_of_an_exposure_and_model_is_kept(store, a_result, a_message):
    stored(store, [a_message(a_result(1, probability=0.1))])
    stored(store, [a_message(a_result(1, probability=0.2))])
    assert [row.probability for row in store.rows(tables.results)] == [0.1]


def test_a_gap_in_a_boxs_numbers_is_shown_and_closes(store, a_result, a_message):
    stored(store, [a_message(a_result(n)) for n in (3, 4, 7, 10)])
    (box,) = queries.all_boxes(store)
    assert ([str(gap) for gap in box.gaps], box.missing, box.last_seq) == (["5\u20136", "8\u20139"], 4, 10)
    stored(store, [a_message(a_result(n)) for n in (9, 5, 6)])
    (box,) = queries.all_boxes(store)
    assert ([str(gap) for gap in box.gaps], box.last_seq, box.results) == (["8"], 10, 7)


def test_a_result_sent_again_under_a_new_number_is_no_gap(store, a_result, a_message):
    stored(store, [a_message(a_result(1, seq=1))])
    stored(store, [a_message(a_result(1, seq=2)), a_message(a_result(3, seq=3))])
    (box,) = queries.all_boxes(store)
    assert (box.missing, box.results) == (0, 2)


def test_each_box_keeps_its_own_latest_status_and_health(store, a_result, a_message):
    stored(
        store,
        [
            a_message(a_result(1, device="one")),
            a_message("online", leaf="status", device="one"),
            a_message('{"status": "offline"}', leaf="status", device="two"),
            a_message('{"outbox": 3}', leaf="health", device="two"),
        ],
    )
    one, two = queries.all_boxes(store)
    assert (one.device, one.status, one.last_seq) == ("one", "online", 1)
    assert (two.device, two.status, two.last_seq, two.health) == ("two", "offline", None, {"outbox": 3})


@given(st.lists(st.integers(1, 12), max_size=25), st.integers(1, 5))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_and_any_repetition_stores_each_once(tmp_path_factory, a_result, a_message, numbers, size):
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('s')}/c.sqlite")
    store.migrate()
    new = sum(
        stored(store, [a_message(a_result(n)) for n in numbers[i : i + size]]) for i in range(0, len(numbers), size)
    )
    rows = store.rows(tables.results, "seq")
    missing = queries.all_boxes(store)[0].missing if numbers else 0
    store.close()
    assert new == len(rows) == len(set(numbers))
    assert missing == (max(numbers) - min(numbers) + 1 - len(set(numbers)) if numbers else 0)


def test_two_threads_that_write_lose_nothing(tmp_path, a_result, a_message):
    store = Store(f"sqlite:///{tmp_path}/c.sqlite", busy_s=30)
    store.migrate()

    def write(start: int) -> None:
        for n in range(start, start + 20):
            stored(store, [a_message(a_result(n)), a_message(a_result(5))])

    threads = [threading.Thread(target=write, args=(start,)) for start in (0, 10, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.rows(tables.results, "seq")) == 50
    store.close()


def test_a_locked_database_is_unavailable_and_nothing_of_the_batch_is_kept(store, tmp_path, a_result, a_message):
    with sqlite3.connect(tmp_path / "collector.sqlite", isolation_level=None) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            stored(store, [a_message(a_result(1))])
        holder.execute("ROLLBACK")
    holder.close()
    assert stored(store, [a_message(a_result(1))]) == 1


def test_a_full_disk_is_unavailable_and_loses_nothing(store, a_result, a_message):
    with store.reading() as connection:
        pages = connection.exec_driver_sql("pragma page_count").scalar()
    with store.engine.connect() as connection:
        connection.exec_driver_sql(f"pragma max_page_count={pages}")
    with pytest.raises(StoreUnavailable, match="full"):
        stored(store, [a_message(a_result(n)) for n in range(200)])
    store.engine.dispose()
    assert stored(store, [a_message(a_result(n)) for n in range(200)]) == 200


def test_a_number_too_large_for_the_store_is_not_retried_without_end(store, a_result, a_message):
    with pytest.raises(InvalidValue):
        stored(store, [a_message(a_result(1, seq=2**70))])
    assert stored(store, [a_message(a_result(2))]) == 1


def test_a_damaged_database_is_unavailable_and_no_message_is_blamed(tmp_path, a_result, a_message):
    path = tmp_path / "c.sqlite"
    path.write_bytes(b"not a database, not a bit of it" * 300)
    store = Store(f"sqlite:///{path}")
    with pytest.raises(StoreUnavailable, match="not a database"):
        stored(store, [a_message(a_result(1))])
    store.close()


def test_rejected_messages_are_bounded(store, a_message):
    rows = [parse_message(a_message(b"\xff")).rejected] * 300
    for _ in range(40):
        store.commit(Batch(rejected=tuple(rows)))
    assert len(store.rows(tables.rejected_messages, "id")) == REJECTED_KEPT


def test_an_unusable_url_is_refused_with_a_remedy(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="folder"):
        Store(f"sqlite:///{tmp_path}/file/under/c.sqlite")
    with pytest.raises(StoreError, match="driver"):
        Store("postgresql+nosuch://host/db")


def test_unclassified_exposures_are_stored_with_their_reason(store, a_result, a_message):
    stored(store, [a_message(a_result(1, flag=Flag.UNCLASSIFIED))])
    (row,) = store.rows(tables.results)
    assert (row.flag, row.reason, row.probability, row.gate_status) == (
        "unclassified",
        "lateral_view",
        None,
        "rejected",
    )
