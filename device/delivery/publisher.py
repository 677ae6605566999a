"""Publish the rows of the outbox over MQTT, and delete a row when the collector's receipt names it.

A row is sent when it is put, and again after a reconnect or a missing receipt. PUBACK says only that the broker has
the message; its reason code is read, because refusals are otherwise silent.
"""

from __future__ import annotations

import json
import logging
import queue
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from threading import Event

from device.config import BrokerConfig, OutboxConfig
from device.contract import ContractError, Model, Receipt, Topics
from device.delivery import events as mqtt
from device.delivery.connection import BrokerAway, BrokerConnection
from device.delivery.in_flight import InFlight
from device.delivery.outbox import Outbox, OutboxFull, PendingMessage
from device.host.alarms import Alarms

log = logging.getLogger(__name__)

PACKET_OVERHEAD_BYTES = 32
CONNECTION_ALARMS = ("broker_away", "not_authorized", "name_taken")


@dataclass(frozen=True, slots=True, kw_only=True)
class _UnstoredMessage:
    topic: str
    body: str


class Publisher:
    """The box's only user of the broker. `step` runs in one thread; `wake` and `publish_latest` may run in any."""

    def __init__(
        self,
        outbox: Outbox,
        *,
        topics: Topics,
        broker: BrokerConfig,
        limits: OutboxConfig,
        alarms: Alarms,
        model: Model | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outbox, self._topics, self._broker, self._limits = outbox, topics, broker, limits
        self._alarms, self._model, self._clock_s = alarms, model, clock_s
        self._events: queue.SimpleQueue[tuple[int, mqtt.BrokerEvent] | _UnstoredMessage | None] = queue.SimpleQueue()
        self._connection: BrokerConnection | None = None
        self._connection_number = 0
        self._online = False
        self._max_packet_bytes: int | None = None
        self._failures = 0
        self._next_try_s = 0.0
        self._latest: dict[str, str] = {}
        self._in_flight = InFlight(limits, clock_s)

    def wake(self) -> None:
        """Note that a row was put into the outbox."""
        self._events.put(None)

    def publish_latest(self, topic: str, body: str) -> None:
        """Send a message that is not stored, such as health. While the broker is away only the latest one waits."""
        self._events.put(_UnstoredMessage(topic=topic, body=body))

    @property
    def online(self) -> bool:
        """Whether the broker has accepted the connection."""
        return self._online

    def step(self, wait_s: float) -> None:
        """Connect if necessary, handle the events of at most `wait_s`, send what is due."""
        now_s = self._clock_s()
        if self._connection is None and now_s >= self._next_try_s:
            self._connect()
        due_s = self._next_try_s if self._connection is None else self._in_flight.next_due_s()
        for event in self._take_events(min(wait_s, max(0.0, due_s - self._clock_s()))):
            self._handle(event)
        if self._online:
            self._send_due()

    def run(self, stop: Event, beat: Callable[[], None] = lambda: None) -> None:
        """Run until `stop` is set (and `wake` called), then close."""
        while not stop.is_set():
            self.step(wait_s=1.0)
            beat()
        self.close()

    def close(self) -> None:
        """Publish `offline` and end the connection."""
        if self._connection and self._online:
            self._connection.publish(self._topics.status, "offline", retain=True)
        self._drop()

    def _take_events(self, wait_s: float) -> list[tuple[int, mqtt.BrokerEvent] | _UnstoredMessage]:
        """Return everything in the queue, waiting at most `wait_s` for the first; None merely ends the wait."""
        events = []
        try:
            events.append(self._events.get(timeout=wait_s))
            while True:
                events.append(self._events.get_nowait())
        except queue.Empty:
            return [event for event in events if event is not None]

    def _connect(self) -> None:
        self._connection_number += 1
        number = self._connection_number
        connection = BrokerConnection(self._broker, self._topics, lambda event: self._events.put((number, event)))
        self._next_try_s = self._clock_s() + self._limits.receipt_timeout_s
        try:
            connection.open()
        except BrokerAway as error:
            connection.close()
            self._alarms.set("broker_away", str(error))
            self._back_off()
            return
        self._connection = connection

    def _back_off(self) -> None:
        self._failures += 1
        pause_s = min(self._broker.reconnect_max_s, 0.25 * 2 ** min(self._failures, 16))
        self._next_try_s = self._clock_s() + pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads boxes

    def _drop(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection, self._online = None, False
        # Whether messages in flight arrived is unknown, so all are sent again.
        self._in_flight.clear()

    def _handle(self, event: tuple[int, mqtt.BrokerEvent] | _UnstoredMessage) -> None:
        if isinstance(event, _UnstoredMessage):
            self._latest[event.topic] = event.body
            if self._connection and self._online:
                self._connection.publish(event.topic, event.body)
            return
        number, broker_event = event
        if number == self._connection_number:  # not an earlier connection
            self._handle_broker(broker_event)

    def _handle_broker(self, event: mqtt.BrokerEvent) -> None:
        match event:
            case mqtt.Connected():
                self._on_connected(event)
            case mqtt.Disconnected():
                self._on_disconnected(event)
            case mqtt.Acknowledged():
                self._on_acknowledged(event)
            case mqtt.Subscribed():
                self._on_subscribed(event)
            case mqtt.MessageReceived():
                self._on_receipt(event)

    def _on_connected(self, event: mqtt.Connected) -> None:
        if self._connection is None:
            return
        self._online, self._failures = True, 0
        self._max_packet_bytes = event.max_packet_bytes
        for name in CONNECTION_ALARMS:
            self._alarms.clear(name)
        self._connection.subscribe(self._topics.receipt)
        self._connection.publish(self._topics.status, "online", retain=True)
        if self._model:
            self._connection.publish(self._topics.model_reported, json.dumps(asdict(self._model)), retain=True)
        for topic, body in self._latest.items():
            self._connection.publish(topic, body)
        log.info("broker_connected")

    def _on_disconnected(self, event: mqtt.Disconnected) -> None:
        log.warning("broker_disconnected", extra={"code": event.code, "reason": event.reason})
        if event.code == mqtt.PACKET_TOO_LARGE:
            # The broker does not say which packet it was: the largest of those it never acknowledged, then.
            seq = self._in_flight.largest_unacknowledged()
            if seq is not None:
                self._refuse(seq, event.reason)
        name = {mqtt.NOT_AUTHORIZED: "not_authorized", mqtt.SESSION_TAKEN_OVER: "name_taken"}.get(
            event.code, "broker_away"
        )
        self._alarms.set(name, f"{self._broker.host}:{self._broker.port}: {event.reason}")
        self._drop()
        self._back_off()

    def _on_acknowledged(self, event: mqtt.Acknowledged) -> None:
        seq = self._in_flight.acknowledge(event.mid)
        if seq is None:
            return
        if event.code in mqtt.MESSAGE_ERRORS:
            self._refuse(seq, event.reason)
        elif event.code >= mqtt.FAILURE:
            name = {mqtt.NOT_AUTHORIZED: "not_authorized", mqtt.QUOTA_EXCEEDED: "quota_exceeded"}.get(
                event.code, "refused"
            )
            self._alarms.set(name, f"{self._topics.result}: {event.reason}")
        elif event.code == mqtt.NO_SUBSCRIBER:
            self._alarms.set("no_subscriber", "the broker accepts results, but no collector is subscribed")

    def _on_subscribed(self, event: mqtt.Subscribed) -> None:
        if event.code >= mqtt.FAILURE:
            self._alarms.set(
                "receipts_refused", f"{self._topics.receipt}: {event.reason}; results accumulate in the outbox"
            )
        else:
            self._alarms.clear("receipts_refused")

    def _on_receipt(self, event: mqtt.MessageReceived) -> None:
        if event.topic != self._topics.receipt:
            return
        try:
            ids = Receipt.from_json(event.payload).result_ids
            self._outbox.confirm(ids)
        except ContractError as error:
            log.warning("receipt_invalid", extra={"reason": str(error)})
            return
        except OutboxFull as error:
            self._alarms.set("disk_full", str(error))
            return
        self._in_flight.confirm(ids)
        for name in ("no_subscriber", "not_authorized", "quota_exceeded", "refused"):
            self._alarms.clear(name)

    def _send_due(self) -> None:
        for seq in self._in_flight.due():
            message = self._outbox.pending(seq)
            if message is None:
                self._in_flight.drop(seq)
            else:
                self._send(message)
        if self._in_flight.free:
            for message in self._outbox.waiting(after_seq=self._in_flight.last_seq, limit=self._in_flight.free):
                self._send(message)

    def _send(self, message: PendingMessage) -> None:
        size_bytes = len(message.body.encode()) + len(self._topics.result) + PACKET_OVERHEAD_BYTES
        fits = self._max_packet_bytes is None or size_bytes <= self._max_packet_bytes
        mid = self._connection.publish(self._topics.result, message.body) if self._connection and fits else None
        self._in_flight.add(message, size_bytes=size_bytes, mid=mid)
        if not fits:
            self._refuse(message.seq, f"packet: expected at most {self._max_packet_bytes} bytes, got {size_bytes}")

    def _refuse(self, seq: int, reason: str) -> None:
        """Count a refusal of this message; the last one moves it to the dead letters, so that others can be sent."""
        self._alarms.set("message_refused", f"result {seq}: {reason}")
        try:
            if self._outbox.count_refusal(seq) < self._limits.max_tries_poison:
                return
            self._outbox.move_to_dead_letters(seq, reason)
        except OutboxFull as error:
            self._alarms.set("disk_full", str(error))
            return
        self._in_flight.drop(seq)
        log.error("message_moved_to_dead_letters", extra={"seq": seq, "reason": reason})
