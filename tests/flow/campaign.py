"""A kill campaign: a real box receives exposures while box, broker and collector are killed at seeded random times."""

from __future__ import annotations

import random
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which

import pytest
import yaml

from device.bundle.loader import load_bundle
from device.contract import IdentifierType, load_site_key, pseudonym, result_id
from tests.support.box import BoxProcess
from tests.support.bundle_factory import make_bundle
from tests.support.exposures import sop_uid, write_exposure
from tests.support.mosquitto import Mosquitto

EXPOSURES_PER_ASSOCIATION = 5
COLLECTOR = [sys.executable, "-c", "from collector.app import main; main()"]


class CollectorProcess:
    """The real collector on a SQLite file."""

    def __init__(self, folder: Path, *, site_key: Path, broker_port: int) -> None:
        self.store = folder / "collector.sqlite"
        self.config = folder / "collector.yaml"
        self.log = folder / "collector.log"
        values = {
            "site_key_file": str(site_key),
            "broker": {"port": broker_port, "reconnect_max_s": 1},
            "store": {"url": f"sqlite:///{self.store}"},
            "web": {"enabled": False},
        }
        self.config.write_text(yaml.safe_dump(values), encoding="utf-8")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*COLLECTOR, "run", "--config", str(self.config)], stdout=log, stderr=log)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def rows(self, query: str) -> list[tuple[object, ...]]:
        if not self.store.exists():
            return []
        with sqlite3.connect(f"file:{self.store}?mode=ro", uri=True, timeout=10) as db:
            return db.execute(query).fetchall()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The counts of a campaign."""

    exposures: int
    answered: int
    lost: int
    duplicates: int
    rows: int
    last_seq: int
    repeated_seqs: int
    kills: dict[str, int]
    resends: int
    took_s: float


@dataclass(slots=True)
class Modality:
    """Sends each exposure with DCMTK until it is answered Success, as modalities do, and records the answers."""

    port: int
    answered: list[int] = field(default_factory=list)
    resends: int = 0

    def send(self, paths: dict[Path, int]) -> None:
        """Send the files; `paths` gives the number of each."""
        rest = dict(paths)
        while rest:
            for path in self._attempt(list(rest)):
                self.answered.append(rest.pop(path))
            if rest:
                self.resends += len(rest)
                time.sleep(0.1)

    def _attempt(self, paths: list[Path]) -> list[Path]:
        """Send in one association; return the files that were answered Success."""
        limits = ("-to", "5", "-ta", "5", "-td", "10")
        done = subprocess.run(
            ["storescu", "-v", *limits, "127.0.0.1", str(self.port), *map(str, paths)],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        parts = re.split(r"Sending file: ", done.stdout + done.stderr)[1:]
        return [Path(part.split("\n")[0].strip()) for part in parts if "Received Store Response (Success)" in part]


def run_campaign(
    folder: Path,
    *,
    exposures: int,
    kills_each: int,
    seed: int,
    box_command: list[str] | None = None,
    drain_s: float = 120,
) -> Outcome:
    """Run a campaign to its end; `box_command` replaces the box (the negative control)."""
    started_s = time.monotonic()
    if not which("storescu"):
        pytest.skip("Debian's dcmtk is missing: apt-get install dcmtk")
    outbound = folder / "modality"
    outbound.mkdir()
    bundle = make_bundle(folder)
    broker = Mosquitto(folder).start()
    box = BoxProcess(folder, bundle, broker_port=broker.port, command=box_command)
    collector = CollectorProcess(folder, site_key=box.key, broker_port=broker.port)
    modality = Modality(box.port)
    chance = random.Random(seed)
    victims: dict[str, Callable[[], object]] = {
        "box": lambda: (box.kill(), box.start(wait=False)),
        "broker": lambda: (broker.kill(), broker.start()),
        "collector": lambda: (collector.kill(), collector.start()),
    }
    killer = _Killer(chance, exposures, kills_each, victims, progress=lambda: len(modality.answered))
    try:
        collector.start()
        box.start()
        killer.thread.start()
        for first in range(0, exposures, EXPOSURES_PER_ASSOCIATION):
            numbers = range(first, min(exposures, first + EXPOSURES_PER_ASSOCIATION))
            modality.send({write_exposure(outbound, number): number for number in numbers})
        killer.thread.join(120)
        _drain(box, collector, drain_s)
        return _outcome(box, collector, modality, bundle, killer.kills, started_s)
    finally:
        box.kill()
        collector.kill()
        broker.close()


class _Killer:
    """Kills by the number of exposures answered so far, each after a random delay: the same schedule on any machine."""

    def __init__(
        self,
        chance: random.Random,
        exposures: int,
        kills_each: int,
        victims: dict[str, Callable[[], object]],
        *,
        progress: Callable[[], int],
    ) -> None:
        self._plan = sorted(
            (chance.randrange(1, exposures), chance.uniform(0, 0.25), name)
            for name in victims
            for _ in range(kills_each)
        )
        self._victims, self._progress = victims, progress
        self.kills = dict.fromkeys(victims, 0)
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        for after_exposures, delay_s, name in self._plan:
            while self._progress() < after_exposures:
                time.sleep(0.002)
            time.sleep(delay_s)
            self._victims[name]()
            self.kills[name] += 1


def _drain(box: BoxProcess, collector: CollectorProcess, drain_s: float) -> None:
    """Wait until the box has nothing left to send."""
    end_s = time.monotonic() + drain_s
    idle_since_s = time.monotonic()
    while time.monotonic() < end_s:
        spool = list((box.data / "spool").glob("*.film"))
        with sqlite3.connect(f"file:{box.data / 'outbox.sqlite'}?mode=ro", uri=True, timeout=10) as db:
            depth = db.execute("SELECT count(*) FROM outbox").fetchone()[0]
        if spool or depth:
            idle_since_s = time.monotonic()
        elif time.monotonic() - idle_since_s > 2:
            return
        time.sleep(0.1)


def _outcome(  # noqa: PLR0917
    box: BoxProcess,
    collector: CollectorProcess,
    modality: Modality,
    bundle: object,
    kills: dict[str, int],
    since_s: float,
) -> Outcome:
    path, public_key = bundle
    key, digest = load_site_key(box.key), load_bundle(path, [public_key]).model.digest
    uids = [sop_uid(number) for number in modality.answered]
    expected = {result_id(pseudonym(key, IdentifierType.EXPOSURE, uid) or "", digest) for uid in uids}
    stored = [str(row[0]) for row in collector.rows("SELECT result_id FROM results")]
    exposures = [row[0] for row in collector.rows("SELECT exposure_id FROM results")]
    return Outcome(
        exposures=len(expected),
        answered=len(modality.answered),
        lost=len(expected - set(stored)),
        duplicates=len(exposures) - len(set(exposures)),
        rows=len(stored),
        last_seq=max((int(str(row[0])) for row in collector.rows("SELECT seq FROM results")), default=0),
        repeated_seqs=len(collector.rows("SELECT * FROM repeated_seqs")),
        kills=kills,
        resends=modality.resends,
        took_s=time.monotonic() - since_s,
    )
