"""Health: one message a minute about the whole box, and systemd's watchdog while every loop runs."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event

from device.contract import Model, iso_utc
from device.host.alarms import Alarms
from device.host.clock import is_trusted, utc_now

log = logging.getLogger(__name__)

THERMAL = Path("/sys/class/thermal")
IDLE_S = 20.0
STALLED_S = 120.0
"""A loop without a turn for so long is stuck: the watchdog is no longer notified and systemd restarts the box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """The counters of the box's parts at one time. Ages in seconds."""

    spool_depth: int
    outbox_depth: int
    dead_letters: int
    last_seq: int
    last_film_age_s: float | None
    broker_online: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """The health message. Sizes in MiB, temperature in degrees Celsius (null where the board has no sensor)."""

    at: str
    clock_trusted: bool
    uptime_s: float
    spool_depth: int
    outbox_depth: int
    dead_letters: int
    last_seq: int
    last_film_age_s: float | None
    broker_online: bool
    free_disk_mib: int
    temperature_c: float | None
    model: Model
    alarms: dict[str, str]

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))


class Heartbeats:
    """When each loop last turned."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._last_s: dict[str, float] = {}

    def of(self, loop: str) -> Callable[[], None]:
        """Return the function that this loop calls at each turn."""

        def beat() -> None:
            self._last_s[loop] = self._clock_s()

        beat()
        return beat

    def stalled(self) -> list[str]:
        """Return the loops that are stuck."""
        oldest_s = self._clock_s() - STALLED_S
        return [loop for loop, last_s in self._last_s.items() if last_s < oldest_s]


class Health:
    """Reports every `period_s`; notifies systemd's watchdog in between while every loop runs."""

    def __init__(
        self,
        *,
        counters: Callable[[], Counters],
        publish: Callable[[str], None],
        housekeeping: Callable[[], None],
        heartbeats: Heartbeats,
        alarms: Alarms,
        model: Model,
        folder: Path,
        period_s: float,
    ) -> None:
        self._counters, self._publish, self._housekeeping = counters, publish, housekeeping
        self._heartbeats, self._alarms, self._model = heartbeats, alarms, model
        self._folder, self._period_s = folder, period_s
        self._started_s = time.monotonic()
        self._next_s = self._started_s

    def step(self) -> None:
        """Notify the watchdog; report when it is time."""
        stalled = self._heartbeats.stalled()
        if stalled:
            self._alarms.set("stalled", f"no sign of life for {STALLED_S:.0f} s: {', '.join(stalled)}")
        else:
            self._alarms.clear("stalled")
            notify_systemd("WATCHDOG=1")
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + self._period_s
            self._housekeeping()
            report = self.report()
            self._publish(report.to_json())
            alarms = ", ".join(report.alarms) or "none"
            waiting = f"{report.spool_depth} to classify, {report.outbox_depth} to deliver"
            notify_systemd(f"STATUS={waiting}; alarms: {alarms}")

    def run(self, stop: Event, beat: Callable[[], None]) -> None:
        """Run until `stop` is set."""
        notify_systemd("READY=1")
        while not stop.is_set():
            beat()
            self.step()
            stop.wait(min(self._period_s, (watchdog_s() or IDLE_S) / 2))
        notify_systemd("STOPPING=1")

    def report(self) -> HealthReport:
        """Return the state of the box now."""
        disk = os.statvfs(self._folder)
        return HealthReport(
            **asdict(self._counters()),
            at=iso_utc(utc_now()),
            clock_trusted=is_trusted(),
            uptime_s=round(time.monotonic() - self._started_s, 1),
            free_disk_mib=disk.f_bavail * disk.f_frsize >> 20,
            temperature_c=temperature_c(),
            model=self._model,
            alarms=self._alarms.active(),
        )


def temperature_c(thermal: Path = THERMAL) -> float | None:
    """Return the temperature of the board's hottest thermal zone, or None without one."""
    temperatures = []
    for zone in thermal.glob("thermal_zone*/temp"):
        try:
            temperatures.append(int(zone.read_text(encoding="ascii")) / 1000)
        except (OSError, ValueError):
            continue
    return max(temperatures, default=None)


def notify_systemd(state: str) -> None:
    """Send READY=1, WATCHDOG=1, STATUS=… or STOPPING=1 (sd_notify(3)). Without a service manager nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # Linux's abstract names begin with a zero byte
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
        try:
            manager.connect(address)
            manager.send(state.encode())
        except OSError:
            return  # its watchdog will notice


def watchdog_s() -> float | None:
    """Return the watchdog period of systemd in seconds, or None where it has none."""
    text = os.environ.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isdigit() and int(text) else None
