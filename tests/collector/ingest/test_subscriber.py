"""The subscriber against a real mosquitto: commit, then PUBACK, then receipt."""

from __future__ import annotations

import json
import queue
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from collector.config import BrokerConfig, CollectorConfig
from collector.ingest.messages import parse_message
from collector.ingest.subscriber import Subscriber, subscriptions
from collector.store import tables
from collector.store.database import InvalidValue
from collector.store.store import Store
from console.settings import ConfigError
from device.contract import Receipt
from tests.collector.conftest import Broker

pytestmark = pytest.mark.mosquitto


class Box:
    """The other side of the contract: sends results and receives receipts."""

    def __init__(self, port: int, device: str = "box") -> None:
        self.receipts: queue.Queue[Receipt] = queue.Queue()
        self.device = device
        self._ready = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=device, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.on_connect = lambda client, *_: client.subscribe(f"pneumoflag/v1/site/{device}/receipt", qos=1)
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.on_message = lambda _c, _d, message: self.receipts.put(Receipt.from_json(message.payload))
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self._ready.wait(10)

    def send(self, payload: str | bytes, leaf: str = "result", *, retain: bool = False) -> None:
        topic = f"pneumoflag/v1/site/{self.device}/{leaf}"
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)

    def receipted_ids(self, count: int, timeout_s: float = 15) -> list[str]:
        """Result ids of receipts until `count` have come."""
        ids: list[str] = []
        until = time.monotonic() + timeout_s
        while len(ids) < count:
            ids += self.receipts.get(timeout=max(0.01, until - time.monotonic())).result_ids
        return ids

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Running:
    """A subscriber stepped by a thread."""

    def __init__(self, config: CollectorConfig, store: Store) -> None:
        self.subscriber = Subscriber(config, store)
        self.stop_event = threading.Event()
        self._thread = threading.Thread(target=self._loop)
        self.subscriber.start()
        self._thread.start()
        until = time.monotonic() + 10
        while not self.subscriber.counters.connected and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.1)  # the subscription itself

    def _loop(self) -> None:
        while not self.stop_event.is_set():
            self.subscriber.step(self.stop_event, idle_s=0.05)

    def close(self) -> None:
        self.stop_event.set()
        self._thread.join()
        self.subscriber.stop()


@pytest.fixture
def config(broker, key_file: Path) -> CollectorConfig:
    return CollectorConfig(site_key_file=key_file, broker=BrokerConfig(port=broker.port, reconnect_max_s=1))


@pytest.fixture
def running(config, store) -> Iterator[Running]:
    started = Running(config, store)
    yield started
    started.close()


@pytest.fixture
def box(broker) -> Iterator[Box]:
    opened = Box(broker.port)
    yield opened
    opened.close()


def test_a_result_is_stored_before_its_receipt_is_sent(running, box, store, a_result):
    box.send(a_result(1).to_json())
    assert box.receipted_ids(1) == [a_result(1).result_id]
    assert [row.result_id for row in store.rows(tables.results)] == [a_result(1).result_id]


def test_a_burst_shares_commits_and_each_receipt_names_at_most_a_hundred(running, box, store, a_result):
    for n in range(1, 251):
        box.client.publish("pneumoflag/v1/site/box/result", a_result(n).to_json(), qos=1)
    assert len(set(box.receipted_ids(250))) == 250
    assert running.subscriber.counters.stored == 250
    assert running.subscriber.counters.commits < 250


def test_a_duplicate_gets_a_receipt_too_or_the_box_would_send_without_end(running, box, store, a_result):
    for _ in range(3):
        box.send(a_result(1).to_json())
        assert box.receipted_ids(1) == [a_result(1).result_id]
    assert len(store.rows(tables.results)) == 1
    assert running.subscriber.counters.duplicates == 2


def test_two_boxes_get_their_own_receipts(running, box, broker, a_result):
    other = Box(broker.port, "other")
    box.send(a_result(1, device="box").to_json())
    other.send(a_result(2, device="other").to_json())
    assert box.receipted_ids(1) == [a_result(1).result_id]
    assert other.receipted_ids(1) == [a_result(2).result_id]
    assert box.receipts.empty()
    other.close()


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xff\xfe", b"[]", b"{}", b"null", b"[" * 100_000, b'{"schema": 2}', b"x" * 200_000],
    ids=["empty", "binary", "list", "object", "null", "deep", "schema", "long"],
)
def test_a_message_outside_the_contract_is_rejected_and_the_next_one_is_stored(running, box, store, a_result, payload):
    box.send(payload)
    box.send(a_result(1).to_json())
    assert box.receipted_ids(1) == [a_result(1).result_id]
    (row,) = store.rows(tables.rejected_messages)
    assert (row.size_bytes, row.topic) == (len(payload), "pneumoflag/v1/site/box/result")


def test_a_result_under_another_boxs_topic_is_refused_and_not_receipted(running, box, store, a_result):
    box.send(a_result(1, device="impostor").to_json())
    box.send(a_result(2).to_json())
    assert box.receipted_ids(1) == [a_result(2).result_id]
    assert "another box" in store.rows(tables.rejected_messages)[0].error


@pytest.mark.parametrize("change", [{"seq": 2**70}, {"boot_id": "\ud800"}], ids=["number", "surrogate"])
def test_a_result_that_the_store_cannot_hold_does_not_hold_up_the_others(running, box, store, a_result, change):
    value = a_result(1).to_dict() | change
    for payload in (json.dumps(value), a_result(2).to_json(), a_result(3).to_json()):
        box.client.publish("pneumoflag/v1/site/box/result", payload, qos=1)
    assert set(box.receipted_ids(2)) == {a_result(2).result_id, a_result(3).result_id}
    assert len(store.rows(tables.rejected_messages)) == 1


def test_a_locked_store_keeps_the_messages_unacknowledged_and_stores_them_later(
    running, box, store, a_result, tmp_path
):
    holder = sqlite3.connect(tmp_path / "collector.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    box.send(a_result(1).to_json())
    with pytest.raises(queue.Empty):
        box.receipted_ids(1, timeout_s=1.5)
    assert running.subscriber.counters.store_retries > 0
    holder.execute("ROLLBACK")
    holder.close()
    assert box.receipted_ids(1) == [a_result(1).result_id]


def test_it_waits_for_an_unreachable_broker_and_goes_on_after_a_kill(running, box, broker, a_result):
    broker.kill()
    time.sleep(0.2)
    broker.start()
    until = time.monotonic() + 15
    received: list[str] = []
    while not received and time.monotonic() < until:  # the box's outbox: again until the receipt
        box.client.publish("pneumoflag/v1/site/box/result", a_result(1).to_json(), qos=1)
        try:
            received = box.receipted_ids(1, timeout_s=0.5)
        except queue.Empty:
            continue
    assert set(received) == {a_result(1).result_id}


def test_status_and_health_reach_the_table_of_boxes_retained_ones_too(box, config, store):
    box.send("online", "status", retain=True)
    started = Running(config, store)
    box.send('{"outbox_depth": 2}', "health")
    until = time.monotonic() + 10
    rows = []
    while time.monotonic() < until and not (rows and rows[0].health):
        time.sleep(0.05)
        rows = store.rows(tables.boxes)
    started.close()
    assert (rows[0].status, rows[0].health) == ("online", {"outbox_depth": 2})


def receipt_first(subscriber: Subscriber) -> None:
    """The broken variant: it answers what it has not stored."""

    def step(stop: threading.Event, idle_s: float = 0.2) -> bool:
        messages = subscriber._next_messages(idle_s)
        if messages:
            subscriber._answer([parse_message(message) for message in messages])
        return bool(messages)

    subscriber.step = step  # type: ignore[method-assign]


@pytest.mark.parametrize("broken", [False, True], ids=["commit first", "control: receipt first"])
def test_a_collector_killed_between_receiving_and_committing_loses_nothing_unless_it_answers_first(  # noqa: PLR0917  # fixtures
    config, store, box, broker, a_result, broken, tmp_path
):
    """The store is held shut, so nothing can be committed; then this collector is gone without a disconnect."""
    holder = sqlite3.connect(tmp_path / "collector.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    first = Subscriber(config, store)
    if broken:
        receipt_first(first)
    first.start()
    until = time.monotonic() + 10
    while not first.counters.connected and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.2)
    for n in range(1, 21):
        box.client.publish("pneumoflag/v1/site/box/result", a_result(n).to_json(), qos=1)
    stop = threading.Event()
    stop.set()  # no waiting between the tries
    for _ in range(10):
        first.step(stop, idle_s=0.1)
    first._client.loop_stop()
    first._client.socket().close()  # killed
    holder.execute("ROLLBACK")
    holder.close()
    second = Running(config, store)
    time.sleep(0.8)
    second.close()
    receipted = set()
    while not box.receipts.empty():
        receipted |= set(box.receipts.get().result_ids)
    held = {row.result_id for row in store.rows(tables.results)}
    if broken:
        assert receipted - held, "the control must lose something, or the schedule proves nothing"
    else:
        assert not receipted - held
        assert len(held) == 20, "the broker kept what was not acknowledged"


def test_a_rejection_that_cannot_be_stored_is_kept_and_not_tried_without_end(config, store, a_message, monkeypatch):
    def never(_self: Store, _batch: object) -> int:
        raise InvalidValue("no value fits")

    monkeypatch.setattr(Store, "commit", never)
    subscriber, stop = Subscriber(config, store), threading.Event()
    stop.set()
    subscriber._incoming.put(a_message(b"x"))
    assert subscriber.step(stop)
    assert subscriber._uncommitted
    assert subscriber.counters.store_retries == 1


def test_a_password_is_sent_and_a_wrong_one_is_logged(tmp_path, key_file, store, caplog):
    users = tmp_path / "users"
    users.write_text("")
    users.chmod(0o700)
    subprocess.run(["mosquitto_passwd", "-b", str(users), "collector", "right"], check=True, capture_output=True)
    guarded = Broker(tmp_path, f"password_file {users}", "user root", anonymous=False)
    guarded.start()
    secret = tmp_path / "secret"
    settings = BrokerConfig(port=guarded.port, username="collector", password_file=secret)
    for password, lets_in in (("wrong", False), ("right\n", True)):
        secret.write_text(password)
        subscriber = Subscriber(CollectorConfig(site_key_file=key_file, broker=settings), store)
        subscriber.start()
        until = time.monotonic() + 10
        while time.monotonic() < until and not (subscriber.counters.connected or "broker_refused" in caplog.text):
            time.sleep(0.02)
        assert subscriber.counters.connected is lets_in
        subscriber.stop()
        caplog.clear()
    guarded.kill()


def test_a_missing_certificate_is_a_configuration_error(tmp_path, key_file, store):
    for settings in ({"tls": True, "ca_file": tmp_path / "no"}, {"username": "u", "password_file": tmp_path / "no"}):
        with pytest.raises(ConfigError, match="broker"):
            Subscriber(CollectorConfig(site_key_file=key_file, broker=BrokerConfig(**settings)), store)


def test_results_are_shared_among_collectors_and_status_is_not(key_file):
    config = CollectorConfig(site_key_file=key_file, sites=("a", "b"), broker=BrokerConfig(share="collectors"))
    topics = subscriptions(config)
    assert "$share/collectors/pneumoflag/v1/a/+/result" in topics
    assert "pneumoflag/v1/b/+/status" in topics
    assert len(topics) == 6
