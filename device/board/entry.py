"""An exposure on the board: its history entry, its decoded result and the time at which it was taken. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from device.contract import ContractError, Result
from device.delivery.flag_history import BoardEntry

CLOCK_SLACK = timedelta(seconds=60)
"""Modality and box may differ by so much before the exposure's own time is doubted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardExposure:
    """A history entry with its decoded result. `taken_at` is the exposure's own time or else that of its reception."""

    entry: BoardEntry
    result: Result
    taken_at: datetime
    own_time: bool

    @property
    def time_label(self) -> str:
        """What `taken_at` is the time of."""
        return "taken" if self.own_time else "received"


def read(entry: BoardEntry) -> BoardExposure | None:
    """Decode the result of a history entry; return None if this version cannot read it."""
    try:
        result = Result.from_dict(entry.result)
    except ContractError:
        return None
    own = entry.acquired_at
    if own is None or own > entry.received_at + CLOCK_SLACK:
        return BoardExposure(entry=entry, result=result, taken_at=entry.received_at, own_time=False)
    return BoardExposure(entry=entry, result=result, taken_at=own, own_time=True)
