"""The box as a process: started by its command, fed by a real sender, events on a real broker."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from console import logs
from console.settings import Section
from device import contract
from device.app import main
from device.bundle.loader import PublicKey
from device.bundle.slots import install
from device.config import DeviceConfig, ModelConfig
from device.contract import Topics
from tests.device.delivery.test_publisher import Collector
from tests.device.receive.test_dicom_server import send
from tests.support.box import COMMAND, BoxProcess
from tests.support.bundle_factory import make_bundle
from tests.support.exposures import dicom_bytes, sop_uid, write_exposure
from tests.support.mosquitto import Mosquitto, free_port

pytestmark = pytest.mark.mosquitto
SCHEMA = json.loads(Path(contract.__file__).with_name("contract.schema.json").read_text(encoding="utf-8"))
TOPICS = Topics(site="site", device="box")
Made = Callable[..., BoxProcess]


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path).start()
    yield broker
    broker.close()


@pytest.fixture
def make_box(tmp_path: Path, tiny_bundle: tuple[Path, PublicKey]) -> Iterator[Made]:
    made: list[BoxProcess] = []

    def make(broker_port: int | None = None, **settings: Any) -> BoxProcess:
        made.append(BoxProcess(tmp_path, tiny_bundle, broker_port=broker_port or free_port(), **settings))
        return made[-1]

    yield make
    for box in made:
        box.kill()


def test_exposures_by_storage_and_by_folder_arrive_once_as_results_of_the_contract(
    tmp_path: Path, mosquitto: Mosquitto, make_box: Made
) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    box = make_box(mosquitto.port, folder={"path": str(inbox), "settle_s": 0.2, "poll_s": 0.05}).start()
    collector = Collector(mosquitto.port, receipts=True)
    assert send(box.port, dicom_bytes(1), dicom_bytes(2)) == [0x0000, 0x0000]
    first = collector.results(2)
    write_exposure(inbox, 1)  # the same exposure again, another way
    (inbox / "broken.dcm").write_bytes(b"not an exposure")
    (third,) = collector.results(1)
    assert [result.seq for result in (*first, third)] == [1, 2, 3]
    assert third.gate.reason == "unreadable"
    key = contract.load_site_key(box.key)
    assert first[0].exposure_id == contract.pseudonym(key, contract.IdentifierType.EXPOSURE, sop_uid(1))
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for result in (*first, third):
        validator.validate(result.to_dict())
        assert "Doe" not in result.to_json()
        assert result.timing_ms.total < 60_000
    wait_until(lambda: depth(box) == 0)
    assert box.stop() == 0
    assert "Doe" not in box.log.read_text(encoding="utf-8"), "no patient in the log"
    collector.close()


def wait_until(check: Callable[[], object], timeout_s: float = 20.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.02)


def depth(box: BoxProcess) -> int:
    with sqlite3.connect(f"file:{box.data / 'outbox.sqlite'}?mode=ro", uri=True) as db:
        return int(db.execute("SELECT count(*) FROM outbox").fetchone()[0])


def test_with_the_broker_away_exposures_are_classified_and_kept_over_a_new_start(
    tmp_path: Path, make_box: Made
) -> None:
    port = free_port()
    box = make_box(port).start()
    assert send(box.port, dicom_bytes(1)) == [0x0000]
    wait_until(lambda: depth(box) == 1)
    box.kill()
    broker = Mosquitto(tmp_path, port=port).start()
    collector = Collector(port, receipts=True)
    box.start()
    assert [result.seq for result in collector.results(1)] == [1]
    wait_until(lambda: depth(box) == 0)
    collector.close()
    broker.close()


def test_it_says_where_it_listens_and_refuses_a_second_box_on_its_data_folder(make_box: Made) -> None:
    box = make_box(board={"enabled": True, "port": 0}, dicom={"port": 0}).start()
    ports = box.wait_ready()
    assert ports["pid"] == box.process.pid
    host, port = ports["board"].removeprefix("http://").rstrip("/").split(":")
    for number in (int(port), ports["dicom"]):
        socket.create_connection((host, number), timeout=5).close()
    output = {f"C-STORE on    127.0.0.1:{ports['dicom']} as PNEUMOFLAG", f"board   on    {ports['board']}"}
    wait_until(lambda: output <= set(box.log.read_text(encoding="utf-8").splitlines()))
    second = subprocess.run([*COMMAND, "run", "--config", box.config], check=False, capture_output=True, text=True)
    assert second.returncode == 1
    assert "in use by another box" in second.stderr
    assert box.stop() == 0


def test_its_health_says_what_an_administrator_wants_to_know(mosquitto: Mosquitto, make_box: Made) -> None:
    collector = Collector(mosquitto.port, receipts=False)
    box = make_box(mosquitto.port, health_s=0.3)
    box.start()
    send(box.port, dicom_bytes(1))
    collector.results(1)
    while not (report := json.loads(collector.bodies(TOPICS.health, 1)[0]))["outbox_depth"]:
        pass
    assert (report["outbox_depth"], report["spool_depth"], report["dead_letters"]) == (1, 0, 0)
    assert report["last_film_age_s"] >= 0
    assert report["free_disk_mib"] > 0
    assert report["model"]["name"] == "tiny"
    assert report["broker_online"] is True
    assert isinstance(report["alarms"], dict)
    collector.close()


def test_systemd_hears_ready_watchdog_status_and_stopping(
    tmp_path: Path, make_box: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(address))
        systemd.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        box = make_box().start()
        events = [systemd.recv(1000).decode() for _ in range(5)]
        box.process.terminate()
        while events[-1] != "STOPPING=1":
            events.append(systemd.recv(1000).decode())
    assert events[0] == "READY=1"
    assert events.count("WATCHDOG=1") >= 2
    assert any(line.startswith("STATUS=0 to classify") for line in events)
    assert box.process.wait(20) == 0


def start_here(box: BoxProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """`pneumoflag-device run` in this process, for starts that fail; its exit code and its one line."""
    monkeypatch.setattr(sys, "argv", ["pneumoflag-device", "run", "--config", str(box.config)])
    monkeypatch.setattr(logs, "set_up", lambda _level: None)
    with pytest.raises(SystemExit) as ended:
        main()
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("pneumoflag-device"))
    return int(ended.value.code), line


def test_a_port_in_use_is_named_and_nothing_is_left_behind(
    make_box: Made, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        box = make_box(dicom={"port": port})
        code, line = start_here(box, monkeypatch, capsys)
        assert code == 1
        assert f"127.0.0.1:{port}: cannot listen there" in line
        assert "set dicom.port" in line
        assert start_here(box, monkeypatch, capsys) == (code, line), "the lock was let go"
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("spoil", "code", "remedy"),
    [
        (lambda box: box.config.write_text("site: [", encoding="utf-8"), 2, "not YAML"),
        (lambda box: box.config.unlink(), 2, "`pneumoflag-device config` prints"),
        (lambda box: box.key.chmod(0o644), 2, "chmod 600"),
        (lambda box: box.key.unlink(), 2, "pneumoflag-device site-key"),
        (lambda box: box.data.write_text("a file", encoding="utf-8"), 1, "set storage.data_dir"),
        (lambda box: shutil.copy(box.key, box.config.with_name("tiny.bundle")), 1, "tiny.bundle"),
    ],
    ids=["config", "no config", "key readable by others", "no key", "data folder is a file", "no bundle"],
)
def test_what_keeps_it_from_starting_is_named_with_its_remedy(  # noqa: PLR0917
    make_box: Made,
    spoil: Callable[[BoxProcess], object],
    code: int,
    remedy: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    box = make_box()
    spoil(box)
    results, line = start_here(box, monkeypatch, capsys)
    assert (results, remedy in line) == (code, True), line


def test_an_untrusted_bundle_does_not_start(
    make_box: Made, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, line = start_here(make_box(model={"trusted_keys": []}), monkeypatch, capsys)
    assert code == 1
    assert "tiny.bundle" in line


def test_a_damaged_active_model_gives_way_to_the_one_before(
    tmp_path: Path, tiny_bundle: tuple[Path, PublicKey], mosquitto: Mosquitto, make_box: Made
) -> None:
    model = ModelConfig(bundle=tmp_path / "models" / "active", trusted_keys=(tiny_bundle[1].where,), backend="cpu")
    install(tiny_bundle[0], model)
    install(make_bundle(tmp_path, name="new.bundle", key=tmp_path / "test.key", version=2)[0], model)
    (tmp_path / "models" / "slot-b.bundle").write_bytes(b"damaged by a bad card")
    collector = Collector(mosquitto.port, receipts=False)
    make_box(mosquitto.port, model={"bundle": str(model.bundle)}).start()
    assert json.loads(collector.bodies(TOPICS.model_reported, 1)[0])["version"] == 1
    (health,) = collector.bodies(TOPICS.health, 1)
    assert "not a bundle" in json.loads(health)["alarms"]["model_rolled_back"]
    collector.close()


def device(*arguments: object, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=timeout_s, env=os.environ
    )


def test_a_site_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "site.key"
    assert device("site-key", path).returncode == 0
    assert path.stat().st_mode & 0o777 == 0o600
    made = path.read_bytes()
    assert len(contract.load_site_key(path)) == 32
    again = device("site-key", path)
    assert (again.returncode, path.read_bytes()) == (2, made)
    assert "kept" in again.stderr


def test_every_setting_is_printed_with_its_default(tmp_path: Path) -> None:
    text = device("config").stdout
    assert all(name in text for name in DeviceConfig.model_fields)
    values = yaml.safe_load(text)
    values |= {"site": "s", "device": "d", "site_key_file": "k", "model": {**values["model"], "bundle": "b"}}
    assert DeviceConfig.model_validate(values).dicom.port == 11112


def test_every_setting_says_what_it_is_for() -> None:
    def undescribed(section: type[Section], where: str = "") -> list[str]:
        results = []
        for name, field in section.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
                results += undescribed(field.annotation, f"{where}{name}.")
            elif not field.description:
                results.append(where + name)
        return results

    assert undescribed(DeviceConfig) == []


def test_help_is_quick_and_names_the_exit_codes() -> None:
    started = time.monotonic()
    output = device("--help")
    assert output.returncode == 0
    assert "Exit codes" in output.stdout
    assert "run" in device("run", "--help").stdout
    assert time.monotonic() - started < 20
