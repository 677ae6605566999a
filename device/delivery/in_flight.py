"""Flights: rows that were sent come in; which of them are due again, and when, goes out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from device.config import OutboxConfig
from device.delivery.outbox import Letter


@dataclass(slots=True, kw_only=True)
class Flight:
    """A row that was sent and has no receipt yet. `mid` is the broker link's number of it."""

    result_id: str
    size_bytes: int
    sends: int
    due_s: float
    mid: int | None
    acked: bool = False


class Flights:
    """What is under way, at most `window` at one time."""

    def __init__(self, limits: OutboxConfig, clock_s: Callable[[], float]) -> None:
        self._limits, self._clock_s = limits, clock_s
        self._by_seq: dict[int, Flight] = {}
        self.sent_up_to = 0

    def add(self, letter: Letter, *, size_bytes: int, mid: int | None) -> None:
        """A row was sent, for the first time or again; without receipt it falls due, each time later."""
        before = self._by_seq.get(letter.seq)
        sends = before.sends + 1 if before else 1
        self.sent_up_to = max(self.sent_up_to, letter.seq)
        self._by_seq[letter.seq] = Flight(
            result_id=letter.result_id, size_bytes=size_bytes, sends=sends, due_s=self._due_s(sends), mid=mid
        )

    def due(self) -> list[int]:
        """The `seq` of rows to send again now."""
        now_s = self._clock_s()
        return [seq for seq, flight in self._by_seq.items() if flight.due_s <= now_s]

    def next_due_s(self) -> float:
        """When the next falls due, on the clock given; infinity when nothing is under way."""
        return min((flight.due_s for flight in self._by_seq.values()), default=float("inf"))

    @property
    def room(self) -> int:
        """How many more may be sent."""
        return max(0, self._limits.window - len(self._by_seq))

    def acked(self, mid: int) -> int | None:
        """The broker spoke of this one; its `seq`, or None for a message that is not a result."""
        for seq, flight in self._by_seq.items():
            if flight.mid == mid:
                flight.acked = True
                return seq
        return None

    def landed(self, result_ids: Iterable[str]) -> None:
        """Receipts came. A collector is there, so what backed off while it was away need not wait that long."""
        committed = set(result_ids)
        self._by_seq = {seq: flight for seq, flight in self._by_seq.items() if flight.result_id not in committed}
        soon_s = self._clock_s() + self._limits.receipt_timeout_s
        for flight in self._by_seq.values():
            flight.due_s = min(flight.due_s, soon_s)

    def drop(self, seq: int) -> None:
        """It is no longer to be sent."""
        self._by_seq.pop(seq, None)

    def largest_unacked(self) -> int | None:
        """The `seq` of the largest message of which the broker has not spoken."""
        unacked = [(flight.size_bytes, seq) for seq, flight in self._by_seq.items() if not flight.acked]
        return max(unacked)[1] if unacked else None

    def clear(self) -> None:
        """The connection is gone and with it all knowledge: everything is to be sent again."""
        self._by_seq.clear()
        self.sent_up_to = 0

    def _due_s(self, sends: int) -> float:
        timeout_s = self._limits.receipt_timeout_s * 2.0 ** min(sends - 1, 16)
        jitter = random.uniform(0.9, 1.1)  # noqa: S311 - spreads resends
        return self._clock_s() + min(timeout_s, self._limits.receipt_timeout_max_s) * jitter
