"""MQTT events: what a broker does and says comes in as these values; the publisher reads them one by one."""

from __future__ import annotations

import queue
from dataclasses import dataclass
from typing import Any

NO_SUBSCRIBER, NOT_AUTHORIZED, TAKEN_OVER = 0x10, 0x87, 0x8E
PACKET_TOO_LARGE, QUOTA_EXCEEDED, PAYLOAD_INVALID = 0x95, 0x97, 0x99
FAILURE = 0x80
BLAMES_THE_MESSAGE = {PACKET_TOO_LARGE, PAYLOAD_INVALID}
"""Every other refusal concerns the box or the broker: the row is kept for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The broker took us. `max_packet_bytes` is the largest packet it accepts, if it told one."""

    max_packet_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The connection ended or was refused; `code` is the MQTT 5 reason code."""

    code: int
    words: str
    refused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Acked:
    """The broker's word about one PUBLISH (below 0x80 accepted)."""

    mid: int
    code: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """The broker's word about the subscription to receipts."""

    code: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A message for us."""

    topic: str
    payload: bytes


BrokerEvent = Connected | Lost | Acked | Subscribed | Heard


def take(events: queue.SimpleQueue[Any], wait_s: float) -> list[Any]:
    """Everything in the queue, waiting at most `wait_s` for the first; None merely ends the wait."""
    found = []
    try:
        found.append(events.get(timeout=wait_s))
        while True:
            found.append(events.get_nowait())
    except queue.Empty:
        return [event for event in found if event is not None]
