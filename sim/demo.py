"""Demo: options come in; a whole site at work goes out, films to comparison, then `summary.json` and `report.html`."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sim.account import Fate, fates, summary
from sim.cases import Case, film_cases, phantom_cases
from sim.manifest import Manifest, Sent
from sim.modality import Modality, Route
from sim.process import PartFailed, python_command, run_tool
from sim.report import write_report
from sim.site import Site
from sim.tell import Teller
from sim.vendors import write_outputs
from sim.versions import versions

ANSWER_S = 60.0
DOWN_S = 1.0
_MARK = ".pneumoflag-demo"


class DemoFault(Exception):
    """The demo cannot start; the words name the thing and the remedy."""


class Unanswered(Exception):
    """Films were lost, doubled or never answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `pneumoflag-sim demo` was asked."""

    out: Path
    bundle: Path
    trusted_keys: tuple[Path, ...] = ()
    exposures: Path | None = None
    count: int = 24
    seed: int = 1
    stay: bool = False


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


def run_demo(options: Options, teller: Teller) -> dict[str, Any]:
    """The summary. Raises DemoFault, PartFailed, Unanswered; whatever happens, all parts are ended."""
    cases = _cases(options)
    _fresh_folder(options.out)
    with Site(options.out, options.bundle, trusted_keys=options.trusted_keys) as site, teller:
        teller.say(f"broker, box and collector run; flag board {site.board_url} collector {site.collector_url}")
        sending = _send(site, cases, options, teller)
        _await_answers(site, sending.sent, teller)
        stored = site.stored()
        films = fates([(film, site.exposure_ids(film)) for film in sending.sent], stored)
        facts = _facts(site, films, sending.kill, options)
        comparison = _compare(site, sending.sent, options, teller)
        found = _conclude(summary(films, stored, facts), films, comparison, options, teller)
        _judge(found, films)
        if options.stay:
            _stay(site, teller)
    return found


def _cases(options: Options) -> tuple[Case, ...]:
    if options.exposures is not None:
        return film_cases(options.exposures, seed=options.seed)
    return phantom_cases(options.count, seed=options.seed, odd=True, files=True)


def _fresh_folder(out: Path) -> None:
    """An empty folder of ours. A folder with anything else in it is never cleared."""
    if out.exists() and any(out.iterdir()) and not (out / _MARK).exists():
        raise DemoFault(f"{out}: holds other files; name an empty or new folder with --out")
    try:
        shutil.rmtree(out, ignore_errors=True)
        (out / "thumbs").mkdir(parents=True)
        (out / _MARK).touch()
    except OSError as error:
        raise DemoFault(f"{out}: cannot be written ({error.strerror}); name another folder with --out") from None


def _send(site: Site, cases: tuple[Case, ...], options: Options, teller: Teller) -> Sending:
    """Let the modality send everything, and kill the box in the middle of it."""
    teller.stage("films at the box", total=len(cases))
    sending = Sending(total=len(cases), kill=_planned(len(cases)))
    modality = Modality(
        cases,
        Route(address=site.address, folder=site.incoming),
        Manifest(options.out / "manifest.csv"),
        run_name=f"demo-{options.seed}",
        workers=max(1, min(2, os.cpu_count() or 1)),
        thumbs=options.out / "thumbs",
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


def _await_answers(site: Site, sent: list[Sent], teller: Teller) -> None:
    """Until each film has its result in the collector, or nothing has come for a long while."""
    wanted = [site.exposure_ids(film) for film in sent]
    teller.stage("results in the collector", total=len(wanted))
    answered, last_s = -1, time.monotonic()
    while time.monotonic() - last_s < ANSWER_S:
        site.check()
        stored = frozenset(site.stored_ids())
        now = sum(not stored.isdisjoint(ids) for ids in wanted)
        if now != answered:
            answered, last_s = now, time.monotonic()
            teller.step(answered, len(wanted), "results stored by the collector")
        if answered == len(wanted):
            return
        time.sleep(0.1)


def _compare(site: Site, sent: list[Sent], options: Options, teller: Teller) -> dict[str, Any] | None:
    """Vendors' outputs and readers' reads into the collector, by its own command line; then its comparison."""
    if not any(film.label is not None for film in sent):
        return None
    teller.stage("vendors' outputs, readers' reads, comparison")
    files = write_outputs(sent, options.out / "hospital", seed=options.seed)
    log = site.logs / "imports.log"
    collector, config = python_command("collector.app"), ["--config", str(site.collector_config)]
    for vendor, file in (("lunit", files.lunit), ("vuno", files.vuno)):
        words = run_tool([*collector, "import-vendor", "--vendor", vendor, *config, str(file)], log, "import-vendor")
        teller.say(words.strip())
    teller.say(run_tool([*collector, "import-reads", *config, str(files.reads)], log, "import-reads").strip())
    out, page = options.out / "comparison.json", options.out / "comparison.html"
    run_tool([*collector, "compare", *config, "--json", str(out), "--html", str(page)], log, "compare")
    comparison: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return comparison


def _facts(site: Site, films: tuple[Fate, ...], kill: Kill, options: Options) -> dict[str, Any]:
    """What the summary says beside the counts."""
    return {
        "source": "own films" if options.exposures else "phantoms",
        "resends_absorbed": site.resends_absorbed(),
        "kill": {
            "after_films": kill.acknowledged,
            "collector_at": kill.collector_at.isoformat() if kill.collector_at else None,
            "at": kill.at.isoformat() if kill.at else None,
            "back_at": kill.back_at.isoformat() if kill.back_at else None,
            "films_on_disk": kill.waiting_films,
            "results_on_disk": kill.waiting_results,
        },
        "labels_invented": any(film.sent.invented for film in films),
        "versions": versions(options.bundle),
    }


def _conclude(
    found: dict[str, Any], films: tuple[Fate, ...], comparison: dict[str, Any] | None, options: Options, teller: Teller
) -> dict[str, Any]:
    (options.out / "summary.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    report = write_report(options.out, found, films, comparison)
    teller.say(
        f"{found['exposures']} exposures, {found['results_stored']} results, {found['lost']} lost, "
        f"{found['duplicates']} duplicates, {found['rejected']} rejected; flags {found['flags']}"
    )
    teller.say(f"report {report}")
    return found


def _judge(found: dict[str, Any], films: tuple[Fate, ...]) -> None:
    lost = [film.sent.case_id for film in films if film.result is None]
    if lost:
        raise Unanswered(f"{len(lost)} of {len(films)} films have no result: {', '.join(lost[:10])}; see the logs")
    if found["duplicates"]:
        raise Unanswered(f"{found['duplicates']} results too many; see summary.json")


def _stay(site: Site, teller: Teller) -> None:
    """Until Ctrl-C, with everything running."""
    teller.stage("running; Ctrl-C ends it")
    teller.say(f"flag board  {site.board_url}")
    teller.say(f"collector   {site.collector_url}")
    while True:
        site.check()
        time.sleep(0.5)


__all__ = ["DemoFault", "Options", "PartFailed", "Unanswered", "run_demo"]
