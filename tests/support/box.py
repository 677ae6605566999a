"""A real box process for tests: started, killed, and started again on the same data folder, as systemd would."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from device.bundle.loader import PublicKey
from tests.support.mosquitto import free_port

COMMAND = [sys.executable, "-c", "from device.app import main; main()"]


class BoxProcess:
    """`settings` are sections of the configuration that differ from quiet defaults for tests."""

    def __init__(
        self,
        home: Path,
        bundle: tuple[Path, PublicKey],
        /,
        *,
        broker_port: int,
        command: list[str] | None = None,
        **settings: Any,
    ) -> None:
        self.data = home / "data"
        self.key = home / "site.key"
        if not self.key.exists():
            self.key.touch(mode=0o600)
            self.key.write_text(secrets.token_hex(32), encoding="ascii")
        # A fixed port, for a modality knows where its box is, also after a new start.
        values: dict[str, Any] = {
            "site": "site",
            "device": "box",
            "site_key_file": str(self.key),
            "model": {"bundle": str(bundle[0]), "trusted_keys": [str(bundle[1].where)], "backend": "cpu", "threads": 1},
            "dicom": {"port": free_port()},
            "broker": {"port": broker_port, "reconnect_max_s": 1},
            "outbox": {"receipt_timeout_s": 2, "receipt_timeout_max_s": 5},
            "storage": {"data_dir": str(self.data), "reserve_mib": 1, "ballast_mib": 1},
            "board": {"enabled": False},
        }
        for section, changes in settings.items():
            values[section] = {**values.get(section, {}), **changes} if isinstance(changes, dict) else changes
        self.port: int = values["dicom"]["port"]
        self.config = home / "box.yaml"
        self.config.write_text(yaml.safe_dump(values), encoding="utf-8")
        self.log = home / "box.log"
        self._command = [*(command or COMMAND), "run", "--config", str(self.config)]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> BoxProcess:
        if self.data.is_dir():
            (self.data / "ports.json").unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout_s: float = 60.0) -> dict[str, Any]:
        end_s = time.monotonic() + timeout_s
        while not (self.data / "ports.json").exists():
            if self.process is None or self.process.poll() is not None or time.monotonic() > end_s:
                raise RuntimeError(f"the box does not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.02)
        ports: dict[str, Any] = json.loads((self.data / "ports.json").read_text(encoding="utf-8"))
        return ports

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def stop(self, timeout_s: float = 30.0) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process
        self.process.terminate()
        return self.process.wait(timeout_s)

    def events(self) -> list[dict[str, Any]]:
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]
