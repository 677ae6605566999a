"""Interrupt the sending of exposures at many times: `python -m tests.sim.demo.interrupted_runs FOLDER TIME...`.

A time is a delay in seconds, or `at-thread-start`: right after the modality's thread was started, before anything else
could be done about it. Each run is a forked process with a box that never answers, so that only a signal can end it
within two minutes. Prints for each time the seconds from SIGTERM to the end; exits with 1 when one never ended.
`--raise` is the negative control: a handler that raises, as Python's own handler of SIGINT does.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from pathlib import Path

from sim import interrupts
from sim.demo import kill_run
from sim.modality.cases import Case, CaseType, Transport
from sim.modality.send import Address
from sim.progress import ProgressReporter
from sim.site.process import SiteProcess

AT_THREAD_START = "at-thread-start"


class SilentSite:
    """A site at whose address nobody listens."""

    def __init__(self, folder: Path) -> None:
        self.address, self.incoming = Address(host="127.0.0.1", port=9), folder / "incoming"
        self.box = SiteProcess("box", ["sleep", "60"], folder / "box.log")
        self.check = interrupts.check


class InterruptedThread(threading.Thread):
    """A thread whose process gets a SIGTERM as soon as it runs."""

    def start(self) -> None:
        super().start()
        if self.name == "modality":
            os.kill(os.getpid(), signal.SIGTERM)


def send(folder: Path) -> None:
    """Send one exposure until interrupted."""
    source = folder / "image.dcm"
    case = Case(number=1, case_type=CaseType.CHEST, transport=Transport.C_STORE, seed=1, source=source)
    site = SilentSite(folder)
    (folder / "thumbs").mkdir(exist_ok=True)
    site.box.start()
    kill_run.send_and_kill(site, (case,), folder, "run", ProgressReporter())  # type: ignore[arg-type]


def seconds_to_end(folder: Path, when: str, limit_s: float) -> float:
    """Return how long the process lived after SIGTERM; infinity when it had to be killed."""
    pid = os.fork()
    if pid == 0:
        if when == AT_THREAD_START:
            threading.Thread = InterruptedThread  # type: ignore[misc]
        try:
            interrupts.catch_signals()
            send(folder)
        except KeyboardInterrupt:
            threading._shutdown()  # as every interpreter does at its end: wait for threads that nobody has stopped
        finally:
            os._exit(0)
    if when != AT_THREAD_START:
        time.sleep(float(when))
        os.kill(pid, signal.SIGTERM)
    sent_s = time.monotonic()
    while not os.waitpid(pid, os.WNOHANG)[0]:
        if time.monotonic() - sent_s > limit_s:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return float("inf")
        time.sleep(0.005)
    return time.monotonic() - sent_s


def raise_at_once() -> None:
    """Install the handlers of the negative control."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def main() -> None:
    """Run once for each time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("times", nargs="+")
    parser.add_argument("--limit-s", type=float, default=10.0)
    parser.add_argument("--raise", action="store_true", dest="raises")
    arguments = parser.parse_args()
    if arguments.raises:
        interrupts.catch_signals = raise_at_once
    kill_run.RENDER_WORKERS = 0
    took_s = [seconds_to_end(arguments.folder, when, arguments.limit_s) for when in arguments.times]
    for when, seconds in zip(arguments.times, took_s, strict=True):
        print(f"{when} {seconds:.2f}")
    sys.exit(max(took_s) == float("inf"))


if __name__ == "__main__":
    main()
