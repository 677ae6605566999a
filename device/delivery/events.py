"""What happens on an MQTT connection, as values: the publisher takes them from a queue one by one."""

from __future__ import annotations

from dataclasses import dataclass

# MQTT 5 reason codes.
NO_SUBSCRIBER, NOT_AUTHORIZED, SESSION_TAKEN_OVER = 0x10, 0x87, 0x8E
PACKET_TOO_LARGE, QUOTA_EXCEEDED, PAYLOAD_INVALID = 0x95, 0x97, 0x99
FAILURE = 0x80
MESSAGE_ERRORS = {PACKET_TOO_LARGE, PAYLOAD_INVALID}
"""Every other refusal concerns the box or the broker: the row is kept until it can be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The broker accepted the connection. `max_packet_bytes` is the largest packet it takes, if it stated one."""

    max_packet_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    """The connection ended or was refused; `code` is the MQTT 5 reason code."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """The broker's answer to one PUBLISH; a code below 0x80 means accepted."""

    mid: int
    code: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """The broker's answer to the subscription to receipts."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageReceived:
    """A message on a subscribed topic."""

    topic: str
    payload: bytes


BrokerEvent = Connected | Disconnected | Acknowledged | Subscribed | MessageReceived
