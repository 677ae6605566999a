"""Process: a command comes in; a child that is watched and always cleaned up goes out, its words in a log file."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_TAIL_LINES = 15


class PartFailed(Exception):
    """A part of the site failed; the words name it and hold the end of its log."""


class Child:
    """One part of the site. `start` may be called again after the end of the former process."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name, self.log = name, log
        self._command = [*_leash(), *command]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its output is added to its log."""
        with self.log.open("ab") as log:
            # A session of its own, so that Ctrl-C reaches the demo alone and the parts end in their order.
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """`kill -9`, to it and to its own children, as when the power goes."""
        if self._process:
            self._signal_all(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def terminate(self) -> None:
        """SIGTERM; `stop` waits for what comes of it."""
        if self._process and self._process.poll() is None:
            self._process.terminate()

    def stop(self, timeout_s: float = 10.0) -> None:
        """SIGTERM, then SIGKILL to what is left."""
        if not self._process:
            return
        self.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        # Its own children may be left.
        self.kill()

    def _signal_all(self, number: signal.Signals) -> None:
        # Started as leader of its session, its process group bears its number, also when it has ended itself.
        if self._process:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def check(self) -> None:
        """Raises PartFailed when it has ended by itself."""
        if self._process and not self.alive:
            raise PartFailed(f"{self.name} ended with code {self._process.returncode}\n{self.tail()}")

    def tail(self) -> str:
        """The last lines of its log, and where the rest is."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
        except OSError:
            lines = []
        return "\n".join([f"  end of {self.log}:", *(f"  | {line}" for line in lines or ["(nothing)"])])

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float, what: str) -> None:
        """Wait for a sign of life. Raises PartFailed when it ends or the time does."""
        end_s = time.monotonic() + timeout_s
        while not ready():
            self.check()
            if time.monotonic() > end_s:
                raise PartFailed(f"{self.name}: {what} did not come within {timeout_s:.0f} s\n{self.tail()}")
            time.sleep(0.05)


def _leash() -> list[str]:
    """Even `kill -9` of the demo must leave nothing running: util-linux's setpriv has the kernel see to it."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def python_command(module: str) -> list[str]:
    """The command line of a role, in this very environment."""
    return [sys.executable, "-c", f"from {module} import main; main()"]


def run_tool(command: Sequence[str], log: Path, name: str, *, timeout_s: float = 120.0) -> str:
    """Run to its end and return its standard output. Raises PartFailed."""
    with log.open("ab") as errors:
        try:
            done = subprocess.run(list(command), stdout=subprocess.PIPE, stderr=errors, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired:
            raise PartFailed(f"{name} did not end within {timeout_s:.0f} s; see {log}") from None
        errors.write(done.stdout)
    if done.returncode:
        raise PartFailed(f"{name} ended with code {done.returncode}\n{Child(name, [], log).tail()}")
    return done.stdout.decode("utf-8", "replace")
