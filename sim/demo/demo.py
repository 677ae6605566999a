"""The demonstration: a whole site at work, from exposure to comparison, then `summary.json` and `report.html`."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import platform
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.errors import ExpectedError, UsageError
from sim import interrupts
from sim.demo.kill_run import Kill, send_and_kill
from sim.demo.report import write_report
from sim.demo.summary import Outcome, match_results, summarize
from sim.modality.cases import Case, file_cases, phantom_cases
from sim.modality.manifest import SentExposure
from sim.progress import ProgressReporter
from sim.site.process import ProcessFailed, python_command, run_tool
from sim.site.site import Site
from sim.site.vendors import write_outputs

ANSWER_TIMEOUT_S = 60.0
_MARKER = ".pneumoflag-demo"
_PACKAGES = (
    "pneumoflag",
    "ai-edge-litert",
    "tflite-runtime",
    "numpy",
    "opencv-python-headless",
    "pydicom",
    "pynetdicom",
    "paho-mqtt",
    "iotcore",
    "sqlalchemy",
)


class DemoError(UsageError):
    """The demonstration cannot start; the message names the cause and the remedy."""


class Unanswered(ExpectedError):
    """Exposures were lost, have two results, or were never answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of `pneumoflag-sim demo`."""

    out: Path
    bundle: Path
    trusted_keys: tuple[Path, ...] = ()
    exposures: Path | None = None
    count: int = 24
    seed: int = 1
    stay: bool = False


def run_demo(options: Options, reporter: ProgressReporter) -> dict[str, Any]:
    """Run it and return the summary. Raises DemoError, ProcessFailed, Unanswered; all processes are ended anyway."""
    cases = _cases(options)
    _prepare_folder(options.out)
    with Site(options.out, options.bundle, trusted_keys=options.trusted_keys) as site, reporter:
        reporter.line("broker, collector and box are running")
        reporter.line(f"flag board {site.board_url} · collector {site.collector_url}")
        run = send_and_kill(site, cases, options.out, f"demo-{options.seed}", reporter)
        _await_results(site, run.sent, reporter)
        stored = site.stored()
        outcomes = match_results([(sent, site.exposure_ids(sent)) for sent in run.sent], stored)
        comparison = _compare(site, run.sent, options, reporter)
        summary = summarize(outcomes, stored, _details(site, outcomes, run.kill, options))
        (options.out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        _report_summary(summary, write_report(options.out, summary, outcomes, comparison), reporter)
        _check_complete(summary, outcomes)
        if options.stay:
            _stay(site, reporter)
    return summary


def _cases(options: Options) -> tuple[Case, ...]:
    if options.exposures is not None:
        return file_cases(options.exposures, seed=options.seed)
    return phantom_cases(options.count, seed=options.seed, rejects=True, files=True)


def _prepare_folder(out: Path) -> None:
    """Empty the folder, unless it holds anything but an earlier demonstration. Raises DemoError."""
    if out.exists() and any(out.iterdir()) and not (out / _MARKER).exists():
        raise DemoError(f"{out}: contains other files; name an empty or new folder with --out")
    try:
        shutil.rmtree(out, ignore_errors=True)
        (out / "thumbs").mkdir(parents=True)
        (out / _MARKER).touch()
    except OSError as error:
        raise DemoError(f"{out}: cannot be written ({error.strerror}); name another folder with --out") from None


def _await_results(site: Site, sent: list[SentExposure], reporter: ProgressReporter) -> None:
    """Wait until every exposure has its result in the collector, or until none has come for a minute."""
    expected = [site.exposure_ids(exposure) for exposure in sent]
    reporter.stage("waiting for the results in the collector", total=len(expected))
    answered, last_s = -1, time.monotonic()
    while time.monotonic() - last_s < ANSWER_TIMEOUT_S:
        site.check()
        stored = frozenset(site.stored_ids())
        now = sum(not stored.isdisjoint(ids) for ids in expected)
        if now != answered:
            answered, last_s = now, time.monotonic()
            reporter.step(answered, len(expected), "results stored by the collector")
        if answered == len(expected):
            return
        interrupts.sleep(0.1)


def _compare(
    site: Site, sent: list[SentExposure], options: Options, reporter: ProgressReporter
) -> dict[str, Any] | None:
    """Import vendors' outputs and readers' reads by the collector's own command line, then compare."""
    if not any(exposure.label is not None for exposure in sent):
        return None
    reporter.stage("importing vendors' outputs and readers' reads, comparing")
    files = write_outputs(sent, options.out / "hospital", seed=options.seed)
    log = site.logs / "imports.log"
    collector, config = python_command("collector.app"), ["--config", str(site.collector_config)]
    for command in (
        ["import-vendor", "--vendor", "lunit", *config, str(files.lunit)],
        ["import-vendor", "--vendor", "vuno", *config, str(files.vuno)],
        ["import-reads", *config, str(files.reads)],
    ):
        reporter.line(run_tool([*collector, *command], log, command[0]).strip())
    out, page = options.out / "comparison.json", options.out / "comparison.html"
    run_tool([*collector, "compare", *config, "--json", str(out), "--html", str(page)], log, "compare")
    comparison: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return comparison


def _details(site: Site, outcomes: tuple[Outcome, ...], kill: Kill, options: Options) -> dict[str, Any]:
    """Return what the summary holds beside the counts."""
    times = {
        "collector_killed_at": kill.collector_killed_at,
        "box_killed_at": kill.box_killed_at,
        "box_restarted_at": kill.box_restarted_at,
    }
    return {
        "source": "own images" if options.exposures else "phantoms",
        "resends_absorbed": site.resends_absorbed(),
        "kill": {
            "after_exposures": kill.exposures_acknowledged,
            **{name: time.isoformat() if time else None for name, time in times.items()},
            "exposures_on_disk": kill.exposures_on_disk,
            "results_on_disk": kill.results_on_disk,
        },
        "labels_invented": any(outcome.sent.invented for outcome in outcomes),
        "versions": _versions(options.bundle),
    }


def _versions(bundle: Path) -> dict[str, str]:
    """Return the versions of Python and of the packages that are installed, and the bundle's file name."""
    versions = {"python": platform.python_version(), "bundle": bundle.name}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def _report_summary(summary: dict[str, Any], report: Path, reporter: ProgressReporter) -> None:
    flags = ", ".join(f"{count} {flag}" for flag, count in summary["flags"].items())
    reporter.line(
        f"{summary['exposures']} exposures, {summary['results_stored']} results, {summary['lost']} lost, "
        f"{summary['duplicates']} duplicates, {summary['rejected']} rejected; flags: {flags}"
    )
    reporter.line(f"report: {report}")


def _check_complete(summary: dict[str, Any], outcomes: tuple[Outcome, ...]) -> None:
    lost = [outcome.sent.case_id for outcome in outcomes if outcome.result is None]
    if lost:
        names = ", ".join(lost[:10])
        raise Unanswered(f"{len(lost)} of {len(outcomes)} exposures have no result: {names}; see the logs")
    if summary["duplicates"]:
        raise Unanswered(f"{summary['duplicates']} duplicate results; see summary.json")


def _stay(site: Site, reporter: ProgressReporter) -> None:
    """Keep everything running until Ctrl-C."""
    reporter.stage("running; Ctrl-C ends it")
    reporter.line(f"flag board  {site.board_url}")
    reporter.line(f"collector   {site.collector_url}")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            site.check()
            interrupts.sleep(0.5)


__all__ = ["DemoError", "Options", "ProcessFailed", "Unanswered", "run_demo"]
