"""Subscriber: MQTT messages come in; group commits to the store, then acknowledgements and receipts, go out.

The order matters: commit, PUBACK, receipt. Until the commit the broker keeps the message, and until the receipt the
box keeps the result. So neither a crash here nor a broker that forgets loses a result.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from collector.config import BrokerConfig, CollectorConfig
from collector.ingest.messages import Message, ParsedMessage, parse_message, reject, to_batch
from collector.store.database import InvalidValue, StoreUnavailable
from collector.store.store import Store
from console.broker import set_credentials
from device.contract import TOPIC_ROOT, Receipt, Topics

log = logging.getLogger(__name__)

RECEIPT_IDS = 100
RECEIVE_MAXIMUM = 2_000
MAX_PACKET_BYTES = 1024 * 1024
FIRST_RETRY_S = 0.2
LAST_RETRY_S = 10.0


@dataclass(slots=True, kw_only=True)
class Counters:
    """What the subscriber did since it started. The pages and `/metrics` show it."""

    connected: bool = False
    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    commits: int = 0
    store_retries: int = 0


class Subscriber:
    """One collector's subscription. Callbacks of the network thread only enqueue; `step` does the work."""

    def __init__(
        self, config: CollectorConfig, store: Store, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Raises ConfigError when a password or certificate file cannot be used."""
        self.counters = Counters()
        self._config = config
        self._store = store
        self._clock = clock
        self._incoming: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._uncommitted: list[Message] = []
        self._session = 0
        self._retry_s = FIRST_RETRY_S
        self._client = _client(config.broker)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def start(self) -> None:
        """Connect in the background, and again with back-off for as long as it takes."""
        broker = self._config.broker
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = broker.session_expiry_s
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        properties.MaximumPacketSize = MAX_PACKET_BYTES
        self._client.connect_async(
            broker.host, broker.port, keepalive=broker.keepalive_s, clean_start=False, properties=properties
        )
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect; what was not committed stays with the broker."""
        self._client.disconnect()
        self._client.loop_stop()

    def step(self, stop: threading.Event, idle_s: float = 0.2) -> bool:
        """Wait up to `idle_s` for a message, commit it with all that arrived meanwhile, then answer.

        Returns False when nothing arrived. While the store is unavailable the messages are kept, unacknowledged, and
        tried again with back-off.
        """
        messages = self._uncommitted or self._next_messages(idle_s)
        if not messages:
            return False
        self._uncommitted = messages
        try:
            committed = self._commit([parse_message(message) for message in messages])
        except StoreUnavailable as error:
            self.counters.store_retries += 1
            alarm = {"error": str(error), "kept": len(messages), "retry_s": self._retry_s}
            log.error("store_unavailable", extra=alarm)  # noqa: TRY400  # expected; no trace every few seconds
            stop.wait(self._retry_s)
            self._retry_s = min(LAST_RETRY_S, self._retry_s * 2)
            return True
        self._uncommitted, self._retry_s = [], FIRST_RETRY_S
        self._answer(committed)
        return True

    def _next_messages(self, idle_s: float) -> list[Message]:
        """The first message and those behind it: a burst shares a commit, and a single message does not wait."""
        try:
            messages = [self._incoming.get(timeout=idle_s)]
        except queue.Empty:
            return []
        while len(messages) < self._config.store.batch and not self._incoming.empty():
            messages.append(self._incoming.get())  # only this thread takes from the queue
        return messages

    def _commit(self, messages: Sequence[ParsedMessage]) -> Sequence[ParsedMessage]:
        """Return the messages as committed. One that does not fit the store is committed as rejected instead."""
        try:
            new = self._store.commit(to_batch(messages))
        except InvalidValue as error:
            if len(messages) > 1:
                return [committed for message in messages for committed in self._commit([message])]
            if messages[0].rejected is not None:
                raise StoreUnavailable(str(error)) from None
            return self._commit([reject(messages[0].message, str(error))])
        rejected = [parsed.rejected for parsed in messages if parsed.rejected is not None]
        self.counters.commits += 1
        self.counters.stored += new
        self.counters.duplicates += sum(parsed.result is not None for parsed in messages) - new
        self.counters.rejected += len(rejected)
        for row in rejected:
            log.warning("message_rejected", extra={"topic": row.topic, "error": row.error})
        return messages

    def _answer(self, messages: Sequence[ParsedMessage]) -> None:
        """Acknowledge committed messages to the broker, and send each box the receipts for its results."""
        receipts: dict[Topics, list[str]] = {}
        for parsed in messages:
            # The mid of an earlier connection may by now belong to another message.
            if parsed.message.qos and parsed.message.session == self._session:
                self._client.ack(parsed.message.mid, parsed.message.qos)
            if parsed.result is not None:
                topics = Topics(site=parsed.result.site, device=parsed.result.device)
                receipts.setdefault(topics, []).append(parsed.result.result_id)
        for topics, ids in receipts.items():
            for start in range(0, len(ids), RECEIPT_IDS):
                receipt = Receipt(result_ids=tuple(ids[start : start + RECEIPT_IDS]))
                self._client.publish(topics.receipt, receipt.to_json(), qos=1)

    def _on_connect(self, client: Client, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            log.error("broker_refused", extra={"reason": str(reason)})
            return
        self._session += 1
        self.counters.connected = True
        log.info("broker_connected", extra={"session_present": flags.session_present})
        client.subscribe([(topic, SubscribeOptions(qos=1)) for topic in subscriptions(self._config)])

    def _on_connect_fail(self, _client: Client, _data: Any) -> None:
        broker = self._config.broker
        log.warning("broker_away", extra={"broker": f"{broker.host}:{broker.port}"})

    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.counters.connected = False
        log.info("broker_disconnected", extra={"reason": str(reason)})

    def _on_subscribe(self, _client: Client, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            log.error("subscription_refused", extra={"reasons": refused, "remedy": "allow it in the broker's ACL"})

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self._incoming.put(
            Message(
                topic=message.topic,
                payload=bytes(message.payload),
                qos=message.qos,
                mid=message.mid,
                session=self._session,
                received_at=self._clock(),
            )
        )


def subscriptions(config: CollectorConfig) -> list[str]:
    """Topic filters. Results may be shared among collectors; status and health go to each of them."""
    sites = config.sites or ("+",)
    group = f"$share/{config.broker.share}/" if config.broker.share else ""
    return [
        f"{prefix}{TOPIC_ROOT}/{site}/+/{leaf}"
        for site in sites
        for prefix, leaf in ((group, "result"), ("", "status"), ("", "health"))
    ]


def _client(broker: BrokerConfig) -> Client:
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=broker.client_id,
        protocol=MQTTProtocolVersion.MQTTv5,
        manual_ack=True,
    )
    client.reconnect_delay_set(min_delay=1, max_delay=broker.reconnect_max_s)
    set_credentials(client, broker)
    return client
