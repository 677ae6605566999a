"""Subscribe: MQTT messages come in; group commits to the store, then acknowledgements and receipts, go out.

The order is the whole point: commit, PUBACK, receipt. Until the commit the broker keeps the message, and until the
receipt the box keeps the result, so neither a crash here nor a broker that forgets loses one.
"""

from __future__ import annotations

import logging
import queue
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from collector.config import BrokerConfig, CollectorConfig, ConfigError
from collector.errors import StoreAway, Unstorable
from collector.ingest.messages import (
    Arrival,
    Message,
    batch,
    read,
    reject,
)
from collector.store.store import Store
from device.contract import TOPIC_ROOT, Receipt, Topics

log = logging.getLogger(__name__)

RECEIPT_IDS = 100
RECEIVE_MAXIMUM = 2_000
MAX_PACKET_BYTES = 1024 * 1024
FIRST_RETRY_S = 0.2
LAST_RETRY_S = 10.0
FAREWELL_S = 2.0


@dataclass(slots=True, kw_only=True)
class Counters:
    """What the subscriber did since it started; read by the pages."""

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
        self._arrived: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._kept: list[Message] = []
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
        asked = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        asked.SessionExpiryInterval = broker.session_expiry_s
        asked.ReceiveMaximum = RECEIVE_MAXIMUM
        asked.MaximumPacketSize = MAX_PACKET_BYTES
        self._client.connect_async(
            broker.host, broker.port, keepalive=broker.keepalive_s, clean_start=False, properties=asked
        )
        self._client.loop_start()

    def stop(self) -> None:
        """Say goodbye; what was not committed stays with the broker."""
        self._client.disconnect()
        self._client.loop_stop()

    def step(self, stop: threading.Event, idle_s: float = 0.2) -> bool:
        """Wait up to `idle_s` for a message, commit it with all that came meanwhile, answer. False: nothing came.

        While the store is away the messages are kept, unacknowledged, and tried again with back-off.
        """
        messages = self._kept or self._gather(idle_s)
        if not messages:
            return False
        self._kept = messages
        try:
            arrivals = self._stored([read(message) for message in messages])
        except StoreAway as error:
            self.counters.store_retries += 1
            alarm = {"error": str(error), "kept": len(messages), "retry_s": self._retry_s}
            log.error("store_away", extra=alarm)  # noqa: TRY400  # expected, and a trace would repeat every few seconds
            stop.wait(self._retry_s)
            self._retry_s = min(LAST_RETRY_S, self._retry_s * 2)
            return True
        self._kept, self._retry_s = [], FIRST_RETRY_S
        self._answer(arrivals)
        return True

    def _gather(self, idle_s: float) -> list[Message]:
        """The first message, and what stands behind it: a burst shares a commit and a single one does not wait."""
        try:
            found = [self._arrived.get(timeout=idle_s)]
        except queue.Empty:
            return []
        while len(found) < self._config.store.batch:
            try:
                found.append(self._arrived.get_nowait())
            except queue.Empty:
                break
        return found

    def _stored(self, arrivals: Sequence[Arrival]) -> Sequence[Arrival]:
        """The arrivals as committed; one that the store cannot hold is committed as a rejection instead."""
        try:
            new = self._store.commit(batch(arrivals))
        except Unstorable as error:
            if len(arrivals) > 1:
                return [done for arrival in arrivals for done in self._stored([arrival])]
            if arrivals[0].rejected is not None:
                raise StoreAway(str(error)) from None
            return self._stored([reject(arrivals[0].message, str(error))])
        results = sum(arrival.result is not None for arrival in arrivals)
        rejections = [arrival.rejected for arrival in arrivals if arrival.rejected is not None]
        self.counters.commits += 1
        self.counters.stored += new
        self.counters.duplicates += results - new
        self.counters.rejected += len(rejections)
        for row in rejections:
            log.warning("message_rejected", extra={"topic": row["topic"], "error": row["error"]})
        return arrivals

    def _answer(self, arrivals: Sequence[Arrival]) -> None:
        owed: dict[Topics, list[str]] = {}
        for arrival in arrivals:
            # A number of an earlier connection may by now belong to another message.
            if arrival.message.qos and arrival.message.session == self._session:
                self._client.ack(arrival.message.mid, arrival.message.qos)
            if arrival.owed is not None:
                topics, result_id = arrival.owed
                owed.setdefault(topics, []).append(result_id)
        for topics, ids in owed.items():
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
        log.warning("broker_away", extra={"broker": f"{broker.host}:{broker.port}", "then": "trying again"})

    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.counters.connected = False
        log.info("broker_disconnected", extra={"reason": str(reason)})

    def _on_subscribe(self, _client: Client, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            log.error("subscription_refused", extra={"reasons": refused, "remedy": "allow it in the broker's ACL"})

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self._arrived.put(
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
    if broker.username is not None:
        client.username_pw_set(broker.username, _password(broker))
    if broker.tls:
        try:
            client.tls_set(_text(broker.ca_file), _text(broker.cert_file), _text(broker.key_file))
        except (OSError, ssl.SSLError, ValueError) as error:
            raise ConfigError(f"broker: certificate files cannot be used ({error}); see ca_file, cert_file") from None
    return client


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _password(broker: BrokerConfig) -> str | None:
    if broker.password_file is None:
        return None
    try:
        return broker.password_file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"broker.password_file: {broker.password_file}: cannot be read ({error})") from None
