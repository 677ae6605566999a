"""Publisher: rows of the outbox come in; MQTT messages go out, and receipts that come back delete the rows.

A row is sent when it is put, sent again after a reconnect and after a receipt that did not come, and forgotten on the
receipt alone. PUBACK is only the broker's word; what it says is read, because refusals are otherwise silent.
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
from device.delivery.connection import BrokerAway, BrokerLink
from device.delivery.in_flight import Flights
from device.delivery.outbox import Letter, Outbox, OutboxFull
from device.host.alarms import Alarms

log = logging.getLogger(__name__)

PACKET_OVERHEAD_BYTES = 32
LINK_ALARMS = ("broker_away", "not_authorized", "name_taken")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Say:
    topic: str
    body: str


class Publisher:
    """The only one who talks to the broker; `step` runs in one thread, `wake` and `say` may be called from any."""

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
        self._events: queue.SimpleQueue[tuple[int, mqtt.BrokerEvent] | _Say | None] = queue.SimpleQueue()
        self._link: BrokerLink | None = None
        self._link_number = 0
        self._online = False
        self._max_packet_bytes: int | None = None
        self._failures = 0
        self._next_try_s = 0.0
        self._said: dict[str, str] = {}
        self._flights = Flights(limits, clock_s)

    def wake(self) -> None:
        """A row was put."""
        self._events.put(None)

    def say(self, topic: str, body: str) -> None:
        """Send something that is not kept: health. While the broker is away only the latest waits."""
        self._events.put(_Say(topic=topic, body=body))

    @property
    def online(self) -> bool:
        """Whether the broker has us."""
        return self._online

    def step(self, wait_s: float) -> None:
        """Connect if need be, take in what happened within `wait_s` at most, send what is due."""
        now_s = self._clock_s()
        if self._link is None and now_s >= self._next_try_s:
            self._connect()
        for event in mqtt.take(self._events, min(wait_s, max(0.0, self._next_due_s() - self._clock_s()))):
            self._handle(event)
        if self._online:
            self._send_due()

    def run(self, stop: Event, beat: Callable[[], None] = lambda: None) -> None:
        """Until `stop` is set (and `wake` called), then say goodbye."""
        while not stop.is_set():
            self.step(wait_s=1.0)
            beat()
        self.close()

    def close(self) -> None:
        """Say `offline` and end the connection."""
        if self._link and self._online:
            self._link.publish(self._topics.status, "offline", retain=True)
        self._drop()

    def _next_due_s(self) -> float:
        if self._link is None:
            return self._next_try_s
        return self._flights.next_due_s()

    def _connect(self) -> None:
        self._link_number += 1
        number = self._link_number
        link = BrokerLink(self._broker, self._topics, lambda event: self._events.put((number, event)))
        self._next_try_s = self._clock_s() + self._limits.receipt_timeout_s
        try:
            link.open()
        except BrokerAway as error:
            link.close()
            self._alarms.set("broker_away", str(error))
            self._back_off()
            return
        self._link = link

    def _back_off(self) -> None:
        self._failures += 1
        pause_s = min(self._broker.reconnect_max_s, 0.25 * 2 ** min(self._failures, 16))
        self._next_try_s = self._clock_s() + pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads boxes

    def _drop(self) -> None:
        if self._link:
            self._link.close()
        self._link, self._online = None, False
        # Nothing is known of what was under way, so all of it is sent again.
        self._flights.clear()

    def _handle(self, event: tuple[int, mqtt.BrokerEvent] | _Say) -> None:
        if isinstance(event, _Say):
            self._said[event.topic] = event.body
            if self._link and self._online:
                self._link.publish(event.topic, event.body)
            return
        number, heard = event
        if number == self._link_number:  # anything else is an echo of an earlier connection
            self._hear(heard)

    def _hear(self, event: mqtt.BrokerEvent) -> None:
        match event:
            case mqtt.Connected():
                self._on_connected(event)
            case mqtt.Lost():
                self._on_lost(event)
            case mqtt.Acked():
                self._on_acked(event)
            case mqtt.Subscribed():
                self._on_subscribed(event)
            case mqtt.Heard():
                self._on_receipt(event)

    def _on_connected(self, event: mqtt.Connected) -> None:
        if self._link is None:
            return
        self._online, self._failures = True, 0
        self._max_packet_bytes = event.max_packet_bytes
        for name in LINK_ALARMS:
            self._alarms.clear(name)
        self._link.subscribe(self._topics.receipt)
        self._link.publish(self._topics.status, "online", retain=True)
        if self._model:
            self._link.publish(self._topics.model_reported, json.dumps(asdict(self._model)), retain=True)
        for topic, body in self._said.items():
            self._link.publish(topic, body)
        log.info("broker_connected")

    def _on_lost(self, event: mqtt.Lost) -> None:
        log.warning("broker_lost", extra={"code": event.code, "words": event.words})
        if event.code == mqtt.PACKET_TOO_LARGE:
            self._blame_the_largest(event)
        name = {mqtt.NOT_AUTHORIZED: "not_authorized", mqtt.TAKEN_OVER: "name_taken"}.get(event.code, "broker_away")
        self._alarms.set(name, f"{self._broker.host}:{self._broker.port}: {event.words}")
        self._drop()
        self._back_off()

    def _blame_the_largest(self, event: mqtt.Lost) -> None:
        # The broker does not say which packet it was; the largest of those it never acknowledged, then.
        seq = self._flights.largest_unacked()
        if seq is not None:
            self._refuse(seq, event.words)

    def _on_acked(self, event: mqtt.Acked) -> None:
        seq = self._flights.acked(event.mid)
        if seq is None:
            return
        if event.code in mqtt.BLAMES_THE_MESSAGE:
            self._refuse(seq, event.words)
        elif event.code >= mqtt.FAILURE:
            name = {mqtt.NOT_AUTHORIZED: "not_authorized", mqtt.QUOTA_EXCEEDED: "quota_exceeded"}.get(
                event.code, "refused"
            )
            self._alarms.set(name, f"{self._topics.result}: {event.words}")
        elif event.code == mqtt.NO_SUBSCRIBER:
            self._alarms.set("no_subscriber", "the broker takes results, but no collector is subscribed")

    def _on_subscribed(self, event: mqtt.Subscribed) -> None:
        if event.code >= mqtt.FAILURE:
            self._alarms.set("receipts_refused", f"{self._topics.receipt}: {event.words}; results pile up")
        else:
            self._alarms.clear("receipts_refused")

    def _on_receipt(self, event: mqtt.Heard) -> None:
        if event.topic != self._topics.receipt:
            return
        try:
            ids = Receipt.from_json(event.payload).result_ids
            self._outbox.done(ids)
        except ContractError as error:
            log.warning("receipt_not_understood", extra={"why": str(error)})
            return
        except OutboxFull as error:
            self._alarms.set("disk_full", str(error))
            return
        self._flights.landed(ids)
        for name in ("no_subscriber", "not_authorized", "quota_exceeded", "refused"):
            self._alarms.clear(name)

    def _send_due(self) -> None:
        for seq in self._flights.due():
            letter = self._outbox.letter(seq)
            if letter is None:
                self._flights.drop(seq)
            else:
                self._send(letter)
        if self._flights.room:
            for letter in self._outbox.waiting(after_seq=self._flights.sent_up_to, limit=self._flights.room):
                self._send(letter)

    def _send(self, letter: Letter) -> None:
        size_bytes = len(letter.body.encode()) + len(self._topics.result) + PACKET_OVERHEAD_BYTES
        fits = self._max_packet_bytes is None or size_bytes <= self._max_packet_bytes
        mid = self._link.publish(self._topics.result, letter.body) if self._link and fits else None
        self._flights.add(letter, size_bytes=size_bytes, mid=mid)
        if not fits:
            self._refuse(letter.seq, f"packet of {size_bytes} bytes, the broker takes {self._max_packet_bytes}")

    def _refuse(self, seq: int, why: str) -> None:
        """Count a refusal of this very message; at the last one it goes aside and those behind it flow."""
        self._alarms.set("message_refused", f"result {seq}: {why}")
        try:
            if self._outbox.refused(seq) < self._limits.max_tries_poison:
                return
            self._outbox.bury(seq, why)
        except OutboxFull as error:
            self._alarms.set("disk_full", str(error))
            return
        self._flights.drop(seq)
        log.error("message_buried", extra={"seq": seq, "why": why})
