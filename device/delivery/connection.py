"""Broker: settings come in; one MQTT 5 connection goes out, and what it hears goes into a queue.

A connection is never mended: when it is lost, the next one is made anew, so the only memory of what was sent is the
outbox. Callbacks of paho only enqueue, because a lock taken in one while another thread publishes would hang both.
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

from device.config import BrokerConfig
from device.contract import Topics
from device.delivery.events import (
    Acked,
    BrokerEvent,
    Connected,
    Heard,
    Lost,
    Subscribed,
)


class BrokerAway(Exception):
    """No connection now; everything is kept and sent later."""


Tell = Callable[[BrokerEvent], None]


class BrokerLink:
    """One connection, with the box's last will."""

    def __init__(self, broker: BrokerConfig, topics: Topics, tell: Tell) -> None:
        self._broker = broker
        self._tell = tell
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
        """Begin to connect; Connected or Lost is told later. Raises BrokerAway when nobody is there."""
        try:
            self._secure()
            self._client.connect(
                self._broker.host, self._broker.port, self._broker.keepalive_s, clean_start=True, properties=_session()
            )
        except (OSError, ValueError) as error:
            raise BrokerAway(f"{self._broker.host}:{self._broker.port}: {error}") from error
        self._client.loop_start()

    def publish(self, topic: str, body: str, *, retain: bool = False) -> int:
        """Hand one message over, QoS 1; returns the number under which Acked speaks of it."""
        return self._client.publish(topic, body, qos=1, retain=retain).mid

    def subscribe(self, topic: str) -> None:
        """Ask for a topic, QoS 1; Subscribed is told later."""
        self._client.subscribe(topic, options=SubscribeOptions(qos=1))

    def close(self) -> None:
        """End it, whatever its state. The last will is not sent when the broker hears us."""
        self._client.on_disconnect = None
        self._client.disconnect()
        self._client.loop_stop()

    def _secure(self) -> None:
        broker = self._broker
        if broker.username is not None:
            password = broker.password_file.read_text(encoding="utf-8") if broker.password_file else ""
            self._client.username_pw_set(broker.username, password.partition("\n")[0] or None)
        if broker.tls:
            ca, cert, key = (
                str(file) if file else None for file in (broker.ca_file, broker.cert_file, broker.key_file)
            )
            self._client.tls_set(ca_certs=ca, certfile=cert, keyfile=key)

    def _on_connect(self, _c: mqtt.Client, _u: Any, _f: Any, code: ReasonCode, props: Properties | None) -> None:
        if code.is_failure:
            self._tell(Lost(code=code.value, words=str(code), refused=True))
            return
        self._tell(Connected(max_packet_bytes=getattr(props, "MaximumPacketSize", None)))

    def _on_disconnect(self, _c: mqtt.Client, _u: Any, _f: Any, code: ReasonCode, _p: Properties | None) -> None:
        self._tell(Lost(code=code.value, words=str(code), refused=False))

    def _on_publish(self, _c: mqtt.Client, _u: Any, mid: int, code: ReasonCode, _p: Properties) -> None:
        self._tell(Acked(mid=mid, code=code.value, words=str(code)))

    def _on_subscribe(self, _c: mqtt.Client, _u: Any, _m: int, codes: list[ReasonCode], _p: Properties | None) -> None:
        for code in codes:
            self._tell(Subscribed(code=code.value, words=str(code)))

    def _on_message(self, _c: mqtt.Client, _u: Any, message: mqtt.MQTTMessage) -> None:
        self._tell(Heard(topic=message.topic, payload=bytes(message.payload)))


def _session() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 0
    return properties
