"""Keep track of the messages that were sent and have no receipt yet, and of when each is due again."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from device.config import OutboxConfig
from device.delivery.outbox import PendingMessage


@dataclass(slots=True, kw_only=True)
class SentMessage:
    """A message without a receipt. `mid` is the MQTT packet identifier of the last attempt."""

    result_id: str
    size_bytes: int
    sends: int
    due_s: float
    mid: int | None
    acknowledged: bool = False


class InFlight:
    """The messages in flight, at most `window` at one time."""

    def __init__(self, limits: OutboxConfig, clock_s: Callable[[], float]) -> None:
        self._limits, self._clock_s = limits, clock_s
        self._by_seq: dict[int, SentMessage] = {}
        self.last_seq = 0

    def add(self, message: PendingMessage, *, size_bytes: int, mid: int | None) -> None:
        """Note that a message was sent, first or again; without a receipt it falls due, each time later."""
        previous = self._by_seq.get(message.seq)
        sends = previous.sends + 1 if previous else 1
        self.last_seq = max(self.last_seq, message.seq)
        timeout_s = self._limits.receipt_timeout_s * 2.0 ** min(sends - 1, 16)
        jitter = random.uniform(0.9, 1.1)  # noqa: S311 - spreads resends
        due_s = self._clock_s() + min(timeout_s, self._limits.receipt_timeout_max_s) * jitter
        self._by_seq[message.seq] = SentMessage(
            result_id=message.result_id, size_bytes=size_bytes, sends=sends, due_s=due_s, mid=mid
        )

    def due(self) -> list[int]:
        """Return the `seq` of the messages to send again now."""
        now_s = self._clock_s()
        return [seq for seq, sent in self._by_seq.items() if sent.due_s <= now_s]

    def next_due_s(self) -> float:
        """Return when the next falls due, on the clock given; infinity when nothing is in flight."""
        return min((sent.due_s for sent in self._by_seq.values()), default=float("inf"))

    @property
    def free(self) -> int:
        """How many more may be sent."""
        return max(0, self._limits.window - len(self._by_seq))

    def acknowledge(self, mid: int) -> int | None:
        """Note the broker's answer and return the `seq`, or None for a message that is not a result."""
        for seq, sent in self._by_seq.items():
            if sent.mid == mid:
                sent.acknowledged = True
                return seq
        return None

    def confirm(self, result_ids: Iterable[str]) -> None:
        """Remove what receipts name. A collector is there, so the others need not wait out a long back-off."""
        confirmed = set(result_ids)
        self._by_seq = {seq: sent for seq, sent in self._by_seq.items() if sent.result_id not in confirmed}
        soon_s = self._clock_s() + self._limits.receipt_timeout_s
        for sent in self._by_seq.values():
            sent.due_s = min(sent.due_s, soon_s)

    def drop(self, seq: int) -> None:
        """Remove a message that is no longer to be sent."""
        self._by_seq.pop(seq, None)

    def largest_unacknowledged(self) -> int | None:
        """Return the `seq` of the largest message that the broker has not answered."""
        unanswered = [(sent.size_bytes, seq) for seq, sent in self._by_seq.items() if not sent.acknowledged]
        return max(unanswered)[1] if unanswered else None

    def clear(self) -> None:
        """Forget all: the connection is gone, so everything is to be sent again."""
        self._by_seq.clear()
        self.last_seq = 0
