from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from device.config import BrokerConfig, OutboxConfig
from device.contract import Receipt, Result, Topics
from device.delivery.outbox import Outbox
from device.delivery.publisher import Publisher
from device.host.alarms import Alarms
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.results import MODEL, draft, entry

pytestmark = pytest.mark.mosquitto
TOPICS = Topics(site="site", device="box")
QUICK = OutboxConfig(receipt_timeout_s=0.3, receipt_timeout_max_s=1.0)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path).start()
    yield broker
    broker.close()


class Collector:
    """Receives everything from the box; sends receipts on request."""

    def __init__(self, port: int, *, receipts: bool) -> None:
        self.messages: queue.SimpleQueue[tuple[str, bytes, bool]] = queue.SimpleQueue()
        self._receipts = receipts
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.client.on_message = self._on_message
        ready = threading.Event()
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.connect("127.0.0.1", port)
        self.client.subscribe("pneumoflag/v1/#", qos=1)
        self.client.loop_start()
        assert ready.wait(5)

    def _on_message(self, client: mqtt.Client, _u: object, message: mqtt.MQTTMessage) -> None:
        if message.topic == TOPICS.receipt:
            return
        self.messages.put((message.topic, bytes(message.payload), message.retain))
        if message.topic == TOPICS.result and self._receipts:
            self.receipt(Result.from_json(bytes(message.payload)).result_id)

    def receipt(self, *ids: str) -> None:
        self.client.publish(TOPICS.receipt, Receipt(result_ids=ids).to_json(), qos=1)

    def results(self, count: int, timeout_s: float = 10.0) -> list[Result]:
        return [Result.from_json(body) for body in self.bodies(TOPICS.result, count, timeout_s)]

    def bodies(self, topic: str, count: int, timeout_s: float = 10.0) -> list[bytes]:
        bodies: list[bytes] = []
        end_s = time.monotonic() + timeout_s
        while len(bodies) < count:
            message_topic, body, _ = self.messages.get(timeout=max(0.01, end_s - time.monotonic()))
            if message_topic == topic:
                bodies.append(body)
        return bodies

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def publishing(
    outbox: Outbox, port: int, *, limits: OutboxConfig = QUICK, alarms: Alarms | None = None, **broker: object
) -> Iterator[Publisher]:
    publisher = Publisher(
        outbox,
        topics=TOPICS,
        broker=BrokerConfig(port=port, reconnect_max_s=1, **broker),
        limits=limits,
        alarms=alarms or Alarms(),
        model=MODEL,
    )
    stop = threading.Event()
    thread = threading.Thread(target=publisher.run, args=(stop,))
    thread.start()
    try:
        yield publisher
    finally:
        stop.set()
        publisher.wake()
        thread.join(10)
        assert not thread.is_alive()


def put(outbox: Outbox, *names: str) -> list[Result]:
    return [outbox.put(draft(name), entry(draft(name))) for name in names]


def until(check: Callable[[], object], timeout_s: float = 10.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.01)


def test_it_sends_at_once_and_forgets_on_the_receipt(tmp_path: Path, mosquitto: Mosquitto) -> None:
    outbox, collector = Outbox(tmp_path / "o.sqlite"), Collector(mosquitto.port, receipts=True)
    with publishing(outbox, mosquitto.port) as publisher:
        until(lambda: publisher.online)
        started = time.monotonic()
        (result,) = put(outbox, "a")
        publisher.wake()
        assert collector.results(1) == [result]
        assert time.monotonic() - started < 0.5
        until(lambda: outbox.depth() == 0)
    collector.close()


def test_it_keeps_the_result_when_the_broker_is_away(tmp_path: Path) -> None:
    outbox, alarms = Outbox(tmp_path / "o.sqlite"), Alarms()
    put(outbox, "a")
    with publishing(outbox, free_port(), alarms=alarms):
        until(lambda: "broker_away" in alarms.active())
        assert outbox.depth() == 1


def test_it_sends_again_until_the_receipt_comes(tmp_path: Path, mosquitto: Mosquitto) -> None:
    outbox, collector = Outbox(tmp_path / "o.sqlite"), Collector(mosquitto.port, receipts=False)
    (result,) = put(outbox, "a")
    with publishing(outbox, mosquitto.port):
        assert collector.results(3) == [result] * 3
        assert outbox.depth() == 1
        collector.receipt(result.result_id)
        until(lambda: outbox.depth() == 0)
    collector.close()


def test_it_sends_everything_again_after_the_broker_was_killed(tmp_path: Path, mosquitto: Mosquitto) -> None:
    outbox, alarms = Outbox(tmp_path / "o.sqlite"), Alarms()
    patient = OutboxConfig(receipt_timeout_s=300, receipt_timeout_max_s=600)
    with publishing(outbox, mosquitto.port, limits=patient, alarms=alarms) as publisher:
        put(outbox, "a", "b")
        publisher.wake()
        until(lambda: "no_subscriber" in alarms.active())
        mosquitto.kill()
        until(lambda: not publisher.online)
        mosquitto.start()
        collector = Collector(mosquitto.port, receipts=True)
        assert [r.seq for r in collector.results(2)] == [1, 2]
        until(lambda: outbox.depth() == 0)
        assert "no_subscriber" not in alarms.active()
    collector.close()


def test_its_window_bounds_what_is_under_way_and_all_of_a_backlog_arrives_in_order(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    outbox = Outbox(tmp_path / "o.sqlite")
    put(outbox, *(f"exposure {n}" for n in range(30)))
    collector = Collector(mosquitto.port, receipts=False)
    narrow = OutboxConfig(window=4, receipt_timeout_s=60)
    with publishing(outbox, mosquitto.port, limits=narrow):
        first = collector.results(4)
        with pytest.raises(queue.Empty):
            collector.results(1, timeout_s=0.3)
        collector.receipt(*(r.result_id for r in first))
        assert [r.seq for r in first + collector.results(4)] == list(range(1, 9))
    collector.close()


def test_everyone_sees_whether_it_is_online_and_which_model_it_runs(tmp_path: Path, mosquitto: Mosquitto) -> None:
    collector = Collector(mosquitto.port, receipts=True)
    with publishing(Outbox(tmp_path / "o.sqlite"), mosquitto.port) as publisher:
        assert collector.bodies(TOPICS.status, 1) == [b"online"]
        (model,) = collector.bodies(TOPICS.model_reported, 1)
        assert json.loads(model)["digest"] == MODEL.digest
        publisher.publish_latest(TOPICS.health, "{}")
        assert collector.bodies(TOPICS.health, 1) == [b"{}"]
    assert collector.bodies(TOPICS.status, 1) == [b"offline"]
    late = Collector(mosquitto.port, receipts=False)
    assert late.bodies(TOPICS.status, 1) == [b"offline"], "the status is retained"
    for client in (collector, late):
        client.close()


def test_a_lost_connection_shows_as_offline_by_the_last_will(tmp_path: Path, mosquitto: Mosquitto) -> None:
    collector = Collector(mosquitto.port, receipts=True)
    with publishing(Outbox(tmp_path / "o.sqlite"), mosquitto.port) as publisher:
        assert collector.bodies(TOPICS.status, 1) == [b"online"]
        publisher._connection._client.socket().shutdown(2)
        assert collector.bodies(TOPICS.status, 2) == [b"offline", b"online"]
    collector.close()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b'{"schema":1,"result_ids":["a",7]}',
        b'{"schema":1,"result_ids":["\\ud800"]}',
        b"\xff",
        b'{"schema":2}',
    ],
)
def test_a_receipt_it_cannot_read_changes_nothing(tmp_path: Path, mosquitto: Mosquitto, text: bytes) -> None:
    outbox, collector = Outbox(tmp_path / "o.sqlite"), Collector(mosquitto.port, receipts=False)
    (result,) = put(outbox, "a")
    with publishing(outbox, mosquitto.port):
        collector.results(1)
        collector.client.publish(TOPICS.receipt, text, qos=1)
        collector.receipt("f" * 32, result.result_id)
        until(lambda: outbox.depth() == 0)
    collector.close()


def test_a_refusal_by_the_access_list_keeps_the_row_and_raises_an_alarm(tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic read #\ntopic write other/#\n", encoding="utf-8")
    rules.chmod(0o644)
    broker = Mosquitto(tmp_path, extra=f"acl_file {rules}").start()
    outbox, alarms = Outbox(tmp_path / "o.sqlite"), Alarms()
    put(outbox, "a")
    try:
        with publishing(outbox, broker.port, alarms=alarms):
            until(lambda: "not_authorized" in alarms.active())
            time.sleep(1.5)
            assert (outbox.depth(), outbox.dead_letters()) == (1, 0), "it is the box's trouble, not the message's"
    finally:
        broker.close()


def test_an_oversize_message_goes_to_the_dead_letters_after_three_tries_and_those_behind_it_flow(
    tmp_path: Path,
) -> None:
    broker = Mosquitto(tmp_path, extra="max_packet_size 2000").start()
    outbox, alarms = Outbox(tmp_path / "o.sqlite"), Alarms()
    long = draft("long", at=draft().clock.at)
    put(outbox, "a")
    with outbox._transaction():
        outbox._db.execute("INSERT INTO outbox (seq, result_id, body) VALUES (2, ?, ?)", (long.result_id, "x" * 5000))
        outbox._db.execute("UPDATE counter SET value = 2")
    put(outbox, "b")
    collector = Collector(broker.port, receipts=True)
    try:
        with publishing(outbox, broker.port, alarms=alarms):
            assert [r.seq for r in collector.results(2)] == [1, 3]
            until(lambda: outbox.dead_letters() == 1)
            until(lambda: outbox.depth() == 0)
            assert "message_refused" in alarms.active()
    finally:
        collector.close()
        broker.close()


def test_a_wrong_password_is_named_and_everything_kept(tmp_path: Path) -> None:
    (tmp_path / "passwords").write_text("", encoding="utf-8")
    broker = Mosquitto(tmp_path, extra=f"password_file {tmp_path / 'passwords'}", anonymous=False).start()
    (tmp_path / "password").write_text("wrong\n", encoding="utf-8")
    outbox, alarms = Outbox(tmp_path / "o.sqlite"), Alarms()
    put(outbox, "a")
    try:
        with publishing(outbox, broker.port, alarms=alarms, username="box", password_file=tmp_path / "password"):
            until(lambda: "not_authorized" in alarms.active())
            assert outbox.depth() == 1
    finally:
        broker.close()


def test_a_password_file_that_is_missing_is_named_and_everything_kept(tmp_path: Path) -> None:
    outbox, alarms = Outbox(tmp_path / "o.sqlite"), Alarms()
    put(outbox, "a")
    with publishing(outbox, free_port(), alarms=alarms, username="box", password_file=tmp_path / "password"):
        until(lambda: "password: cannot be read" in alarms.active().get("broker_away", ""))
        assert outbox.depth() == 1
