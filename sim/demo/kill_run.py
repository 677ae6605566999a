"""A run in which every exposure is sent while the collector and then the box are killed and started again."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sim import interrupts
from sim.modality.cases import Case
from sim.modality.manifest import Manifest, SentExposure
from sim.modality.modality import Destination, Modality
from sim.progress import ProgressReporter
from sim.site.site import Site

DOWN_S = 1.0
RENDER_WORKERS = max(1, min(2, os.cpu_count() or 1))


@dataclass(slots=True, kw_only=True)
class Kill:
    """When collector and box are killed (counted in accepted exposures), and what was then on the box's disk.

    The collector is killed a few exposures earlier, so that the box has results without a receipt by then.
    """

    collector_after: int
    box_after: int
    exposures_acknowledged: int = 0
    collector_killed_at: datetime | None = None
    box_killed_at: datetime | None = None
    box_restarted_at: datetime | None = None
    exposures_on_disk: int = 0
    results_on_disk: int = 0


@dataclass(slots=True, kw_only=True)
class KillRun:
    """The exposures accepted so far, and the kill."""

    total: int
    kill: Kill
    sent: list[SentExposure] = field(default_factory=list)
    error: BaseException | None = None


def send_and_kill(site: Site, cases: tuple[Case, ...], out: Path, run_name: str, reporter: ProgressReporter) -> KillRun:
    """Send everything; the manifest and thumbnails go to `out`. Raises NotSent, NoDestination, ProcessFailed."""
    reporter.stage("sending exposures to the box", total=len(cases))
    run = KillRun(total=len(cases), kill=_plan_kill(len(cases)))
    modality = Modality(
        cases,
        Destination(address=site.address, folder=site.incoming),
        Manifest(out / "manifest.csv"),
        run_name=run_name,
        workers=RENDER_WORKERS,
        thumbnails=out / "thumbs",
        on_sent=run.sent.append,
    )
    thread = threading.Thread(target=_keep_error, args=(modality.run, run), name="modality")
    thread.start()
    try:
        _watch(site, thread, run, reporter)
    finally:
        modality.stop.set()
        if thread.is_alive():
            # Interrupted or failed: a transfer that waits for the box's answer must not delay the end.
            site.box.kill()
        thread.join()
    if run.error:
        raise run.error
    return run


def _plan_kill(exposures: int) -> Kill:
    box_after = max(1, exposures * 2 // 5)
    return Kill(collector_after=max(1, box_after - 4), box_after=box_after)


def _keep_error(send: Callable[[], None], run: KillRun) -> None:
    try:
        send()
    except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
        run.error = error


def _watch(site: Site, thread: threading.Thread, run: KillRun, reporter: ProgressReporter) -> None:
    """Report progress and kill at the planned times. This thread starts all processes, and it outlives them."""
    shown = 0
    while thread.is_alive() or shown < len(run.sent):
        while shown < len(run.sent):
            sent = run.sent[shown]
            shown += 1
            description = " ".join(filter(None, (sent.case_id, sent.case_type, sent.finding, "by", sent.transport)))
            reporter.step(shown, run.total, description)
            if shown == run.kill.collector_after:
                site.collector.kill()
                run.kill.collector_killed_at = datetime.now(UTC)
                reporter.line("kill -9 of the collector: the box keeps its results")
            if shown == run.kill.box_after:
                _kill_and_restart(site, run, reporter)
        site.check()
        interrupts.sleep(0.02)


def _kill_and_restart(site: Site, run: KillRun, reporter: ProgressReporter) -> None:
    kill = run.kill
    site.box.kill()
    killed_at = kill.box_killed_at = datetime.now(UTC)
    kill.exposures_acknowledged = len(run.sent)
    kill.exposures_on_disk, kill.results_on_disk = site.backlog()
    reporter.line(
        f"kill -9 of the box after {kill.exposures_acknowledged} exposures; on its disk: "
        f"{kill.exposures_on_disk} exposures without a result, {kill.results_on_disk} results without a receipt"
    )
    interrupts.sleep(DOWN_S)
    site.start_box()
    restarted_at = kill.box_restarted_at = datetime.now(UTC)
    site.start_collector()
    down_s = (restarted_at - killed_at).total_seconds()
    reporter.line(f"the box runs again after {down_s:.1f} s; the collector is starting; the modality continues")
