"""The command line and the running service."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

from collector.config import CollectorConfig, load_config
from collector.store.store import Store
from collector.store.tables import results
from console.settings import ConfigError, settings_template

RUN = [sys.executable, "-c", "from collector.app import main; main()"]


def write_config(folder: Path, key_file: Path, port: int = 1, **more) -> Path:
    path = folder / "collector.yaml"
    settings = {
        "site_key_file": str(key_file),
        "broker": {"port": port, "reconnect_max_s": 1},
        "store": {"url": "sqlite:///db/collector.sqlite"},
        "web": {"port": 0},
        **more,
    }
    path.write_text(yaml.safe_dump(settings))
    return path


def start(config: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [*RUN, "run", "--config", str(config)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline()


def stop(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    return errors


def test_it_starts_without_a_broker_says_so_serves_pages_and_stops_on_sigterm(tmp_path, key_file):
    process, greeting = start(write_config(tmp_path, key_file))
    ports = json.loads((tmp_path / "db" / "ports.json").read_text())
    assert f":{ports['web']}/" in greeting
    with urllib.request.urlopen(f"http://127.0.0.1:{ports['web']}/healthz") as answer:
        assert json.load(answer) == {"store": "ok", "broker": "away"}
    time.sleep(0.5)
    errors = stop(process)
    assert "broker_away" in errors
    assert "Traceback" not in errors


@pytest.mark.mosquitto
def test_a_killed_collector_takes_up_where_it_was(tmp_path, key_file, broker, a_result):
    config = write_config(tmp_path, key_file, broker.port)
    publish = [
        "mosquitto_pub",
        "-p",
        str(broker.port),
        "-V",
        "mqttv5",
        "-q",
        "1",
        "-t",
        "pneumoflag/v1/site/box/result",
    ]
    process, _ = start(config)
    until = time.monotonic() + 10
    database = Store(f"sqlite:///{tmp_path}/db/collector.sqlite")
    while time.monotonic() < until and not database.rows(results, "seq"):
        subprocess.run([*publish, "-m", a_result(1).to_json()], check=True)
        time.sleep(0.1)
    process.kill()
    process.communicate()
    subprocess.run([*publish, "-m", a_result(2).to_json()], check=True)  # the broker keeps it for the session
    process, _ = start(config)
    until = time.monotonic() + 15
    while time.monotonic() < until and len(database.rows(results, "seq")) < 2:
        time.sleep(0.1)
    stop(process)
    assert len(database.rows(results, "seq")) == 2
    database.close()


def refused(*args: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*RUN, *args], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    return done


def test_a_port_in_use_is_one_clear_line(tmp_path, key_file, broker):
    config = write_config(tmp_path, key_file, web={"port": broker.port})
    done = refused("run", "--config", str(config))
    assert done.returncode == 2
    assert "choose another web.port" in done.stderr


def test_a_missing_key_names_the_remedy(tmp_path):
    done = refused("run", "--config", str(write_config(tmp_path, tmp_path / "no.key")))
    assert done.returncode == 2
    assert "site-key" in done.stderr


def test_the_printed_settings_are_a_configuration_and_name_every_default(tmp_path):
    path = tmp_path / "collector.yaml"
    path.write_text(settings_template(CollectorConfig))
    loaded = load_config(path)
    assert loaded.site_key_file == tmp_path / "site.key"
    assert loaded.store.url == "sqlite:////var/lib/pneumoflag-collector/collector.sqlite"
    assert loaded.vendors.vuno.rules[0].findings == ("consolidation", "interstitial opacity")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected settings"),
        ("[1]", "expected settings"),
        ("a: [", "not YAML"),
        ("site_key_file: k\nbrocker: {}", "brocker"),
        ("site_key_file: k\nbroker: {port: 99999}", "broker.port"),
        ("site_key_file: k\nsites: ['a/b']", "without / + #"),
        ("site_key_file: k\nstore: {url: mysql://x}", "expected sqlite:///path or postgresql"),
        ("{}", "site_key_file"),
    ],
)
def test_a_wrong_configuration_names_the_setting(tmp_path, text, message):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"c\.yaml") as raised:
        load_config(path)
    assert message in str(raised.value)


def test_relative_paths_count_from_the_files_folder(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("site_key_file: k\nstore: {url: 'sqlite:///d/c.sqlite'}\nbroker: {ca_file: ca.pem}")
    loaded = load_config(path)
    assert loaded.store.url == f"sqlite:///{tmp_path}/d/c.sqlite"
    assert loaded.broker.ca_file == tmp_path / "ca.pem"
