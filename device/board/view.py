"""Decide what the page shows at a given time, all of it as text. Pure.

The top panel is about the newest exposure. It shows a flag only if no exposure waits and the newest one is recent;
otherwise it says so in words, and flags are in the list only.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from device.board.entry import CLOCK_SLACK, BoardExposure
from device.board.formatting import clock
from device.board.rows import Row, make_row
from device.board.snapshot import Snapshot
from device.config import BoardConfig
from device.contract import Flag, Model, Reason, Runtime

MAX_COMPANIONS = 3


class Panel(StrEnum):
    """What the top of the page is about."""

    CURRENT = "current"
    WAITING = "waiting"
    OLDER = "older"
    IDLE = "idle"
    EMPTY = "empty"
    BLIND = "blind"


@dataclass(frozen=True, slots=True, kw_only=True)
class Top:
    """The top panel. `since` is the time whose age the page counts, between two words; `overdue` warns."""

    panel: Panel
    head: str
    text: str
    since: datetime | None = None
    before: str = ""
    after: str = ""
    overdue: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The whole page. Two equal views look the same, but for the ages that the page itself counts."""

    top: Top
    current: Row | None = None
    companions: tuple[Row, ...] = ()
    rows: tuple[Row, ...] = ()
    notices: tuple[str, ...] = ()
    undelivered: int = 0
    model: Model | None = None
    runtime: Runtime | None = None


BLIND = Top(
    panel=Panel.BLIND,
    head="Flags cannot be read",
    text="The box cannot read its own results. Read exposures as usual and tell the administrator.",
)


def make_view(snapshot: Snapshot, now: datetime, config: BoardConfig) -> View:
    """Return the page as it reads at `now`."""
    if not snapshot.readable or (snapshot.exposures and snapshot.exposures[0] is None):
        return View(top=BLIND)
    classified = [exposure for exposure in snapshot.exposures if exposure is not None]
    waiting = _not_classified(snapshot)
    newest = None if waiting else _newest(classified, now, timedelta(seconds=config.stale_after_s))
    rows = {exposure.result.result_id: make_row(exposure, now, config) for exposure in classified}
    current = rows.pop(newest.result.result_id) if newest else None
    companions = _companions(newest, classified, rows) if newest else ()
    return View(
        top=_top(waiting, newest, classified, now, config),
        current=current,
        companions=companions,
        rows=tuple(rows.values()),
        notices=tuple(_notices(snapshot, classified)),
        undelivered=snapshot.undelivered,
        model=classified[0].result.model if classified else None,
        runtime=classified[0].result.runtime if classified else None,
    )


def _newest(classified: list[BoardExposure], now: datetime, stale: timedelta) -> BoardExposure | None:
    """Return the newest exposure if it is recent; for a lateral view, a classified frontal one of its study instead."""
    recent = [exposure for exposure in classified if _is_recent(exposure.taken_at, now, stale)]
    newest = max(recent, key=lambda exposure: (exposure.taken_at, exposure.result.seq), default=None)
    if newest is None or newest.result.gate.reason is not Reason.LATERAL_VIEW or not newest.result.study_id:
        return newest
    study = [exposure for exposure in recent if exposure.result.study_id == newest.result.study_id]
    frontal = [exposure for exposure in study if exposure.result.flag is not Flag.UNCLASSIFIED]
    return max(frontal, key=lambda exposure: exposure.taken_at, default=newest)


def _came_last(classified: list[BoardExposure], now: datetime) -> BoardExposure | None:
    """Return the exposure that arrived last: the newest decision, or an exposure sent again since.

    Decisions are in order of `seq`, so a clock that jumps cannot bring an old one back to the top.
    """
    if not classified:
        return None
    newest = classified[0]
    again = [(exposure.entry.resent_at, exposure) for exposure in classified if exposure.entry.resent_at is not None]
    since = [(at, exposure) for at, exposure in again if newest.entry.received_at < at <= now + CLOCK_SLACK]
    return max(since, key=lambda pair: pair[0])[1] if since else newest


def _top(
    waiting: list[datetime],
    newest: BoardExposure | None,
    classified: list[BoardExposure],
    now: datetime,
    config: BoardConfig,
) -> Top:
    last = _came_last(classified, now)
    if waiting:
        return _waiting(waiting, now, config)
    if last is None:
        return Top(
            panel=Panel.EMPTY, head="No exposure classified yet", text="The flag of the next exposure appears here."
        )
    arrived_at = last.entry.resent_at or last.entry.received_at
    just_came = _is_recent(arrived_at, now, timedelta(seconds=config.stale_after_s))
    older = f"exposure, {last.time_label} {clock(last.taken_at, now)}, arrived at {clock(arrived_at, now)}"
    if newest:
        elsewhere = just_came and last.taken_at < newest.taken_at and not _one_study(last, newest)
        return Top(
            panel=Panel.CURRENT, head="Newest exposure", text=f"Another {older}: see the list." if elsewhere else ""
        )
    if just_came:
        again = " It was classified before." if last.entry.resent_at else ""
        return Top(panel=Panel.OLDER, head="No new exposure", text=f"An older {older}.{again} Its flag is in the list.")
    since = max(
        (exposure for exposure in classified if exposure.taken_at <= now),
        key=lambda exposure: exposure.taken_at,
        default=last,
    )
    head = f"No new exposure since {clock(since.taken_at, now)}"
    return Top(panel=Panel.IDLE, head=head, text="Earlier flags are listed below.", since=since.taken_at, after="ago")


def _one_study(one: BoardExposure, other: BoardExposure) -> bool:
    return one.result.study_id is not None and one.result.study_id == other.result.study_id


def _is_recent(time: datetime, now: datetime, limit: timedelta) -> bool:
    return -CLOCK_SLACK <= now - time <= limit


def _not_classified(snapshot: Snapshot) -> list[datetime]:
    """Return the arrivals that still wait, without those that have a flag and are about to leave the spool."""
    arrivals = (at for entry in snapshot.entries for at in (entry.received_at, entry.resent_at) if at is not None)
    done = Counter(_milliseconds(at) for at in arrivals)
    left = []
    for at in snapshot.waiting:
        ms = _milliseconds(at)
        # The spool keeps whole milliseconds; rounding may differ by one.
        matching_ms = next((near_ms for near_ms in (ms, ms - 1, ms + 1) if done[near_ms] > 0), None)
        if matching_ms is None:
            left.append(at)
        else:
            done[matching_ms] -= 1
    return left


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def _waiting(waiting: list[datetime], now: datetime, config: BoardConfig) -> Top:
    oldest, newest, count = min(waiting), max(waiting), len(waiting)
    overdue = now - oldest > timedelta(seconds=config.late_after_s)
    plural_head = f"{count} exposures received, the last at {clock(newest, now)}"
    text = "Classification in progress." if count == 1 else "Classification in progress, in order of arrival."
    overdue_text = "This is taking too long. Read as usual and tell the administrator."
    return Top(
        panel=Panel.WAITING,
        head=f"Exposure received {clock(newest, now)}" if count == 1 else plural_head,
        text=f"Not classified yet. {overdue_text}" if overdue else text,
        since=oldest,
        before="Waiting for" if count == 1 else "The oldest has waited for",
        overdue=overdue,
    )


def _companions(newest: BoardExposure, classified: list[BoardExposure], rows: dict[str, Row]) -> tuple[Row, ...]:
    """Return other exposures of the same study."""
    same = [
        rows[exposure.result.result_id]
        for exposure in classified
        if exposure is not newest and _one_study(exposure, newest)
    ]
    return tuple(same[:MAX_COMPANIONS])


def _notices(snapshot: Snapshot, classified: list[BoardExposure]) -> list[str]:
    notices = []
    if classified and classified[0].result.runtime.fell_back:
        notices.append("The accelerator failed. The CPU has taken over and is slower. Tell the administrator.")
    if lost := len(snapshot.entries) - len(classified):
        notices.append(f"{_count(lost, 'stored result')} cannot be read by this version.")
    if snapshot.dead:
        notices.append(f"{_count(snapshot.dead, 'result')} cannot be sent to the collector. Tell the administrator.")
    return notices


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
