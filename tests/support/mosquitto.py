"""A real mosquitto for tests: started, killed and started again on the same port."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """`extra` is appended to its configuration."""

    def __init__(self, folder: Path, *, extra: str = "", anonymous: bool = True, port: int = 0) -> None:
        self.binary = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if not self.binary:
            pytest.skip("Debian's mosquitto is missing: apt-get install mosquitto")
        self.port = port or free_port()
        self.conf = folder / "mosquitto.conf"
        self._log = (folder / "mosquitto.log").open("ab")
        lines = [
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {str(anonymous).lower()}",
            "persistence true",
            f"persistence_location {folder}/",
            "user root",
            "set_tcp_nodelay true",
            extra,
        ]
        self.conf.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Mosquitto:
        for _ in range(50):
            self._process = subprocess.Popen([self.binary, "-c", str(self.conf)], stdout=self._log, stderr=self._log)
            if self._answers():
                return self
        raise RuntimeError(f"mosquitto does not start, see {self.conf.with_suffix('.log')}")

    def _answers(self) -> bool:
        end_s = time.monotonic() + 5
        while time.monotonic() < end_s and self._process and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return True
        return False

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        self.kill()
        self._log.close()
