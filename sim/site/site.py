"""A running site in one folder: broker, box and collector as real processes on free ports of the loopback address."""

from __future__ import annotations

import re
import secrets
import socket
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

import firmware_config
from console.errors import UsageError
from device.contract import IdentifierType, Result, content_id, load_site_key, pseudonym
from sim import interrupts
from sim.modality.manifest import SentExposure
from sim.modality.send import Address
from sim.site.broker import write_settings
from sim.site.process import SiteProcess, python_command

START_S = 60.0
SITE, DEVICE = "demo-hospital", "box-1"
RELEASED_BUNDLES = Path(next(iter(firmware_config.__path__))) / "bundles"


class NoBundle(UsageError):
    """There is no released bundle; the message says how to name one."""


def newest_bundle(folder: Path = RELEASED_BUNDLES) -> Path:
    """Return the released bundle for adults with the highest number in its name. Raises NoBundle."""
    paths = list(folder.glob("*adult*.bundle"))
    if not paths:
        raise NoBundle(f"{folder}: holds no released bundle for adults; name one with --bundle")
    return max(paths, key=lambda path: ([int(number) for number in re.findall(r"\d+", path.stem)], path.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One row of the collector: a result and when it was committed (ISO 8601, UTC)."""

    result: Result
    received_at: str


class Site:
    """Use it as a context: broker, collector and box are started, and ended whatever happens."""

    def __init__(self, folder: Path, bundle: Path, *, trusted_keys: tuple[Path, ...] = ()) -> None:
        self.folder, self.logs = folder, folder / "logs"
        self._broker_port, self._dicom_port, self._board_port, self._web_port = _free_ports(4)
        self._work = folder / "work"
        for path in (self.logs, self._work / "box", self._work / "collector", self.incoming):
            path.mkdir(parents=True, exist_ok=True)
        self._key_file = _site_key(self._work / "site.key")
        self._key = load_site_key(self._key_file)
        self.collector_config = self._collector_config()
        box_config = self._box_config(bundle, trusted_keys)
        broker_config = write_settings(self._work / "broker.toml", self._broker_port)
        self.broker = self._process("broker", [sys.executable, "-m", "sim.site.broker", str(broker_config)])
        self.collector = self._process(
            "collector", [*python_command("collector.app"), "run", "--config", str(self.collector_config)]
        )
        self.box = self._process("box", [*python_command("device.app"), "run", "--config", str(box_config)])

    def _process(self, name: str, command: list[str]) -> SiteProcess:
        return SiteProcess(name, command, self.logs / f"{name}.log")

    def __enter__(self) -> Self:
        try:
            self.broker.start()
            self.broker.wait_until(lambda: _listens(self._broker_port), timeout_s=START_S, what="its port")
            self.start_collector()
            self.start_box(wait=False)
            self.collector.wait_until(self._collector_ports.exists, timeout_s=START_S, what="ports.json")
            self.wait_for_box()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End all processes; the broker last, so that the others can disconnect properly."""
        for process in (self.box, self.collector):
            process.terminate()
        for process in (self.box, self.collector, self.broker):
            process.stop()

    def check(self) -> None:
        """Raise ProcessFailed for a process that has ended by itself, KeyboardInterrupt after a signal."""
        interrupts.check()
        for process in (self.broker, self.collector, self.box):
            process.check()

    @property
    def incoming(self) -> Path:
        """The folder that the box watches."""
        return self._work / "incoming"

    @property
    def address(self) -> Address:
        """Where the box accepts exposures by C-STORE."""
        return Address(host="127.0.0.1", port=self._dicom_port)

    @property
    def board_url(self) -> str:
        """The technologist's page."""
        return f"http://127.0.0.1:{self._board_port}/"

    @property
    def collector_url(self) -> str:
        """The administrators' pages."""
        return f"http://127.0.0.1:{self._web_port}/"

    def start_box(self, *, wait: bool = True) -> None:
        """Start the box, as systemd does after it has ended."""
        self._box_ports.unlink(missing_ok=True)
        self.box.start()
        if wait:
            self.wait_for_box()

    def start_collector(self) -> None:
        """Start the collector; its pages and receipts come a moment later."""
        self._collector_ports.unlink(missing_ok=True)
        self.collector.start()

    def wait_for_box(self) -> None:
        """Wait until the box accepts exposures."""
        self.box.wait_until(self._box_ports.exists, timeout_s=START_S, what="ports.json")

    @property
    def _box_ports(self) -> Path:
        return self._work / "box" / "ports.json"

    @property
    def _collector_ports(self) -> Path:
        return self._work / "collector" / "ports.json"

    def exposure_ids(self, sent: SentExposure) -> frozenset[str]:
        """Return the keyed identifiers that the result of this exposure may carry: of its UID, or of its content."""
        by_uid = pseudonym(self._key, IdentifierType.EXPOSURE, sent.sop_instance_uid)
        by_content = content_id(self._key, sent.content_sha256)
        return frozenset({by_uid, by_content} if by_uid else {by_content})

    def stored(self) -> list[Stored]:
        """Return the results that the collector has committed."""
        rows = self._collector_rows("SELECT body, received_at FROM results ORDER BY received_at, seq")
        return [Stored(result=Result.from_json(body), received_at=at) for body, at in rows]

    def stored_ids(self) -> list[str]:
        """Return the exposure identifier of each committed result, without reading the results themselves."""
        return [row[0] for row in self._collector_rows("SELECT exposure_id FROM results")]

    def resends_absorbed(self) -> int:
        """Return how many results came again under another sequence number and were recognised."""
        return int(self._collector_rows("SELECT count(*) FROM repeated_seqs")[0][0])

    def _collector_rows(self, query: str) -> list[Any]:
        return _rows(self._work / "collector" / "collector.sqlite", query)

    def backlog(self) -> tuple[int, int]:
        """Return the number of files in the box's spool and of results in its outbox: both survive a kill."""
        spooled = list((self._work / "box" / "spool").glob("*.film"))
        return len(spooled), int(_rows(self._work / "box" / "outbox.sqlite", "SELECT count(*) FROM outbox")[0][0])

    def _collector_config(self) -> Path:
        folder = self._work / "collector"
        return _write_yaml(
            folder / "collector.yaml",
            {
                "site_key_file": str(self._key_file.resolve()),
                "broker": {"port": self._broker_port, "reconnect_max_s": 2},
                "store": {"url": f"sqlite:///{folder.resolve()}/collector.sqlite"},
                "web": {"port": self._web_port},
            },
        )

    def _box_config(self, bundle: Path, trusted_keys: tuple[Path, ...]) -> Path:
        return _write_yaml(
            self._work / "box.yaml",
            {
                "site": SITE,
                "device": DEVICE,
                "site_key_file": str(self._key_file.resolve()),
                "model": {"bundle": str(bundle.resolve()), "trusted_keys": [str(k.resolve()) for k in trusted_keys]},
                "dicom": {"port": self._dicom_port},
                "folder": {"path": str(self.incoming.resolve()), "poll_s": 0.25, "settle_s": 0.5, "after": "delete"},
                "broker": {"port": self._broker_port, "reconnect_max_s": 1},
                "outbox": {"receipt_timeout_s": 3, "receipt_timeout_max_s": 10},
                "storage": {"data_dir": str((self._work / "box").resolve()), "reserve_mib": 64, "ballast_mib": 1},
                "board": {"port": self._board_port},
                "health_s": 5,
            },
        )


def _rows(path: Path, query: str) -> list[Any]:
    """Query a database of the site. Not read-only: after a kill SQLite must first replay its write-ahead log."""
    with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=10)) as connection:
        return connection.execute(query).fetchall()


def _write_yaml(path: Path, values: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


def _site_key(path: Path) -> Path:
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(32) + "\n", encoding="ascii")
    return path


def _free_ports(count: int) -> list[int]:
    """Return ports that stay fixed for the run: a modality keeps its settings while the box restarts."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
