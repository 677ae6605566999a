"""One MQTT 5 connection to the broker; what happens on it is passed on as events.

A lost connection is never repaired but replaced by a new one, so the only memory of what was sent is the outbox.
Callbacks of paho only enqueue, because a lock taken in one while another thread publishes would hang both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from console.broker import set_credentials
from console.settings import ConfigError
from device.config import BrokerConfig
from device.contract import Topics
from device.delivery.events import (
    Acknowledged,
    BrokerEvent,
    Connected,
    Disconnected,
    MessageReceived,
    Subscribed,
)


class BrokerAway(Exception):
    """There is no connection now; everything is kept and sent later."""


class BrokerConnection:
    """One connection, with the box's last will."""

    def __init__(self, broker: BrokerConfig, topics: Topics, on_event: Callable[[BrokerEvent], None]) -> None:
        self._broker = broker
        self._on_event = on_event
        name = f"pneumoflag-{topics.site}-{topics.device}"
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
        self._client.will_set(topics.status, "offline", qos=1, retain=True)
        self._client.max_inflight_messages_set(65535)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def open(self) -> None:
        """Begin to connect; Connected or Disconnected follows. Raises BrokerAway when there is no broker."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 0
        try:
            set_credentials(self._client, self._broker)
            self._client.connect(
                self._broker.host, self._broker.port, self._broker.keepalive_s, clean_start=True, properties=properties
            )
        except (ConfigError, OSError, ValueError) as error:
            raise BrokerAway(f"{self._broker.host}:{self._broker.port}: {error}") from error
        self._client.loop_start()

    def publish(self, topic: str, body: str, *, retain: bool = False) -> int:
        """Send one message with QoS 1 and return its packet identifier, which Acknowledged repeats."""
        return self._client.publish(topic, body, qos=1, retain=retain).mid

    def subscribe(self, topic: str) -> None:
        """Subscribe to a topic with QoS 1; Subscribed follows."""
        self._client.subscribe(topic, options=SubscribeOptions(qos=1))

    def close(self) -> None:
        """End the connection, whatever its state; the broker does not publish the last will then."""
        self._client.on_disconnect = None
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, _c: mqtt.Client, _u: Any, _f: Any, code: ReasonCode, props: Properties | None) -> None:
        if code.is_failure:
            self._on_event(Disconnected(code=code.value, reason=str(code)))
            return
        self._on_event(Connected(max_packet_bytes=getattr(props, "MaximumPacketSize", None)))

    def _on_disconnect(self, _c: mqtt.Client, _u: Any, _f: Any, code: ReasonCode, _p: Properties | None) -> None:
        self._on_event(Disconnected(code=code.value, reason=str(code)))

    def _on_publish(self, _c: mqtt.Client, _u: Any, mid: int, code: ReasonCode, _p: Properties) -> None:
        self._on_event(Acknowledged(mid=mid, code=code.value, reason=str(code)))

    def _on_subscribe(self, _c: mqtt.Client, _u: Any, _m: int, codes: list[ReasonCode], _p: Properties | None) -> None:
        for code in codes:
            self._on_event(Subscribed(code=code.value, reason=str(code)))

    def _on_message(self, _c: mqtt.Client, _u: Any, message: mqtt.MQTTMessage) -> None:
        self._on_event(MessageReceived(topic=message.topic, payload=bytes(message.payload)))
