"""Processes of the site: each is watched, its output goes to a log file, and it never outlives the demonstration."""

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

from console.errors import ExpectedError
from sim import interrupts

_TAIL_LINES = 15


class ProcessFailed(ExpectedError):
    """A process of the site failed; the message names it and holds the end of its log."""


class SiteProcess:
    """One process of the site. `start` may be called again once it has ended."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name, self.log = name, log
        # Even `kill -9` of the demonstration must leave nothing running: setpriv (util-linux) has the kernel see to it.
        setpriv = shutil.which("setpriv")
        self._command = [*([setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []), *command]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its output is appended to its log."""
        with self.log.open("ab") as log:
            # A session of its own, so that Ctrl-C reaches the demonstration alone and the processes end in order.
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )

    @property
    def pid(self) -> int | None:
        """Its process number, None before `start` and after `kill`."""
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """Whether it is running."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Send SIGKILL to it and to the processes that it started, as when the power fails."""
        if self._process:
            # As leader of its session it gives its number to its process group, even after it has ended itself.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def terminate(self) -> None:
        """Send SIGTERM; `stop` waits for the end."""
        if self._process and self._process.poll() is None:
            self._process.terminate()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Send SIGTERM, wait, then send SIGKILL to whatever is left, such as processes that it started."""
        if not self._process:
            return
        self.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        self.kill()

    def check(self) -> None:
        """Raise ProcessFailed when it has ended by itself."""
        if self._process and not self.alive:
            raise ProcessFailed(f"{self.name} ended with code {self._process.returncode}\n{log_tail(self.log)}")

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float, what: str) -> None:
        """Wait until `ready`; raise ProcessFailed when the process ends first or the time is over."""
        end_s = time.monotonic() + timeout_s
        while not ready():
            self.check()
            if time.monotonic() > end_s:
                raise ProcessFailed(
                    f"{self.name}: {what} did not appear within {timeout_s:.0f} s\n{log_tail(self.log)}"
                )
            interrupts.sleep(0.05)


def log_tail(path: Path) -> str:
    """Return the last lines of a log, headed by its path."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
    except OSError:
        lines = []
    return "\n".join([f"  end of {path}:", *(f"  | {line}" for line in lines or ["(empty)"])])


def python_command(module: str) -> list[str]:
    """Return the command line that runs a package's console script in this environment."""
    return [sys.executable, "-c", f"from {module} import main; main()"]


def run_tool(command: Sequence[str], log: Path, name: str, *, timeout_s: float = 120.0) -> str:
    """Run a command to its end and return its standard output, which the log gets too. Raises ProcessFailed."""
    end_s = time.monotonic() + timeout_s
    with log.open("ab") as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process:
        try:
            while True:
                interrupts.check()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    output = process.communicate(timeout=0.2)[0]
                    break
                if time.monotonic() > end_s:
                    raise ProcessFailed(f"{name} did not end within {timeout_s:.0f} s; see {log}")
        finally:
            if process.poll() is None:
                process.kill()
        errors.write(output)
    if process.returncode:
        raise ProcessFailed(f"{name} ended with code {process.returncode}\n{log_tail(log)}")
    return output.decode("utf-8", "replace")
