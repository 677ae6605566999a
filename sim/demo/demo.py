"""Demo: options come in; a whole site at work goes out, films to comparison, then `summary.json` and `report.html`."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.demo.kill_run import Kill, send_and_kill
from sim.demo.report import write_report
from sim.demo.summary import Fate, fates, summary
from sim.demo.versions import versions
from sim.modality.cases import Case, film_cases, phantom_cases
from sim.modality.manifest import Sent
from sim.progress import Teller
from sim.site.process import PartFailed, python_command, run_tool
from sim.site.site import Site
from sim.site.vendors import write_outputs

ANSWER_S = 60.0
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


def run_demo(options: Options, teller: Teller) -> dict[str, Any]:
    """The summary. Raises DemoFault, PartFailed, Unanswered; whatever happens, all parts are ended."""
    cases = _cases(options)
    _fresh_folder(options.out)
    with Site(options.out, options.bundle, trusted_keys=options.trusted_keys) as site, teller:
        teller.say(f"broker, box and collector run; flag board {site.board_url} collector {site.collector_url}")
        sending = send_and_kill(site, cases, options.out, f"demo-{options.seed}", teller)
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
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            site.check()
            time.sleep(0.5)


__all__ = ["DemoFault", "Options", "PartFailed", "Unanswered", "run_demo"]
