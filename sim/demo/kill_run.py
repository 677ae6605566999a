"""Trial: a site and cases come in; all films sent, the collector and the box killed in the middle of it, go out."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sim.modality.cases import Case
from sim.modality.manifest import Manifest, Sent
from sim.modality.modality import Modality, Route
from sim.progress import Teller
from sim.site.site import Site

DOWN_S = 1.0


@dataclass(slots=True, kw_only=True)
class Kill:
    """The proof of resilience: when the box was killed, what stood on its disk then, and when it was back.

    The collector is killed some films earlier, so that results without a receipt are on the box's disk by then.
    """

    collector_after: int
    after_films: int
    collector_at: datetime | None = None
    at: datetime | None = None
    back_at: datetime | None = None
    waiting_films: int = 0
    waiting_results: int = 0
    acknowledged: int = 0


@dataclass(slots=True, kw_only=True)
class Sending:
    """The modality's films so far, and the kill that is to come."""

    total: int
    kill: Kill
    sent: list[Sent] = field(default_factory=list)
    error: BaseException | None = None


def send_and_kill(site: Site, cases: tuple[Case, ...], out: Path, run_name: str, teller: Teller) -> Sending:
    """Send everything; the manifest and thumbnails go to `out`. Raises NotSent, NoRoute, PartFailed."""
    teller.stage("films at the box", total=len(cases))
    sending = Sending(total=len(cases), kill=_planned(len(cases)))
    modality = Modality(
        cases,
        Route(address=site.address, folder=site.incoming),
        Manifest(out / "manifest.csv"),
        run_name=run_name,
        workers=max(1, min(2, os.cpu_count() or 1)),
        thumbs=out / "thumbs",
        told=sending.sent.append,
    )
    thread = threading.Thread(target=_guarded, args=(modality.run, sending), name="modality")
    thread.start()
    try:
        _watch(site, thread, sending, teller)
    finally:
        modality.stop.set()
        thread.join()
    if sending.error:
        raise sending.error
    return sending


def _planned(films: int) -> Kill:
    last = max(1, films * 2 // 5)
    return Kill(collector_after=max(1, last - 4), after_films=last)


def _guarded(run: Callable[[], None], sending: Sending) -> None:
    try:
        run()
    except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
        sending.error = error


def _watch(site: Site, thread: threading.Thread, sending: Sending, teller: Teller) -> None:
    """Show progress and see to the kill. All children are started by this thread, which outlives them."""
    shown = 0
    while thread.is_alive() or shown < len(sending.sent):
        while shown < len(sending.sent):
            shown += 1
            film = sending.sent[shown - 1]
            teller.step(
                shown, sending.total, " ".join(f"{film.case_id} {film.kind} {film.finding} by {film.way}".split())
            )
            if shown == sending.kill.collector_after:
                site.collector.kill()
                sending.kill.collector_at = datetime.now(UTC)
                teller.say("kill -9 to the collector: the box keeps its results")
            if shown == sending.kill.after_films:
                _kill_and_restart(site, sending, teller)
        site.check()
        time.sleep(0.02)


def _kill_and_restart(site: Site, sending: Sending, teller: Teller) -> None:
    kill = sending.kill
    site.kill_box()
    kill.at, kill.acknowledged = datetime.now(UTC), len(sending.sent)
    kill.waiting_films, kill.waiting_results = site.backlog()
    teller.say(
        f"kill -9 to the box after {kill.acknowledged} films: on its disk {kill.waiting_films} films not yet judged, "
        f"{kill.waiting_results} results not yet receipted"
    )
    time.sleep(DOWN_S)
    site.start_box()
    kill.back_at = datetime.now(UTC)
    site.start_collector()
    down_s = (kill.back_at - kill.at).total_seconds()
    teller.say(f"the box is back after {down_s:.1f} s, the collector starts; the modality goes on")
