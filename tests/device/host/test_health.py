from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from device.host import clock
from device.host import health as health_module
from device.host.alarms import Alarms
from device.host.health import (
    STALLED_S,
    Counters,
    Health,
    Heartbeats,
    temperature_c,
    watchdog_s,
)
from tests.support.results import MODEL

COUNTERS = Counters(spool_depth=1, outbox_depth=2, dead_letters=0, last_seq=7, last_film_age_s=3.5, broker_online=False)


def health(folder: Path, *, beats: Heartbeats, alarms: Alarms, published: list[str]) -> Health:
    return Health(
        counters=lambda: COUNTERS,
        publish=published.append,
        housekeeping=lambda: None,
        heartbeats=beats,
        alarms=alarms,
        model=MODEL,
        folder=folder,
        period_s=60,
    )


@pytest.fixture
def notified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    states: list[str] = []
    monkeypatch.setattr(health_module, "notify_systemd", states.append)
    return states


def test_it_reports_once_a_period_and_notifies_the_watchdog_in_between(tmp_path: Path, notified: list[str]) -> None:
    published: list[str] = []
    monitor = health(tmp_path, beats=Heartbeats(), alarms=Alarms(), published=published)
    for _ in range(3):
        monitor.step()
    assert len(published) == 1
    report = json.loads(published[0])
    assert (report["spool_depth"], report["last_seq"], report["model"]["digest"]) == (1, 7, MODEL.digest)
    assert notified.count("WATCHDOG=1") == 3
    assert "STATUS=1 to classify, 2 to deliver; alarms: none" in notified


def test_the_watchdog_is_not_notified_while_a_loop_is_stuck(tmp_path: Path, notified: list[str]) -> None:
    now_s = [0.0]
    beats, alarms = Heartbeats(lambda: now_s[0]), Alarms()
    beats.of("publisher")
    alive = beats.of("pipeline")
    monitor = health(tmp_path, beats=beats, alarms=alarms, published=[])
    now_s[0] = STALLED_S + 1
    alive()
    monitor.step()
    assert "WATCHDOG=1" not in notified
    assert "publisher" in alarms.active()["stalled"]
    assert "pipeline" not in alarms.active()["stalled"]


def test_an_idle_box_keeps_notifying_the_watchdog(tmp_path: Path, notified: list[str]) -> None:
    now_s = [0.0]
    beats, alarms, stop = Heartbeats(lambda: now_s[0]), Alarms(), threading.Event()
    monitor = health(tmp_path, beats=beats, alarms=alarms, published=[])

    def wait(_s: float) -> None:
        now_s[0] += STALLED_S / 2
        if now_s[0] > 5 * STALLED_S:
            stop.set()

    monitor.run(cast("threading.Event", SimpleNamespace(is_set=stop.is_set, wait=wait)), beats.of("health"))
    assert notified.count("WATCHDOG=1") == 11
    assert "stalled" not in alarms.active()


@pytest.mark.parametrize(("text", "seconds"), [("120000000", 120.0), ("", None), ("0", None), ("soon", None)])
def test_the_watchdog_period_is_read_from_systemd(
    monkeypatch: pytest.MonkeyPatch, text: str, seconds: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", text)
    assert watchdog_s() == seconds


def test_the_hottest_zone_counts_and_a_board_without_any_reports_none(tmp_path: Path) -> None:
    assert temperature_c(tmp_path) is None
    for zone, text in enumerate(("41000\n", "62500\n", "broken")):
        (tmp_path / f"thermal_zone{zone}").mkdir()
        (tmp_path / f"thermal_zone{zone}" / "temp").write_text(text, encoding="ascii")
    assert temperature_c(tmp_path) == 62.5


def test_alarms_are_logged_when_they_begin_and_when_they_end(caplog: pytest.LogCaptureFixture) -> None:
    alarms = Alarms()
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            alarms.set("broker_away", "nobody is there")
        alarms.clear("broker_away")
        alarms.clear("broker_away")
    assert [record.message for record in caplog.records] == ["alarm", "alarm_over"]
    assert alarms.active() == {}


def test_the_clock_is_read_with_its_synchronization() -> None:
    reading = clock.read_clock()
    assert reading.at.tzinfo is not None
    assert isinstance(reading.trusted, bool)
    assert len(clock.boot_id()) == 32


def test_the_file_of_timesyncd_is_enough_for_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_kernel_is_synchronized", lambda: False)
    monkeypatch.setattr(clock, "TIMESYNC_FILE", tmp_path / "synchronized")
    assert not clock.is_trusted()
    (tmp_path / "synchronized").touch()
    assert clock.is_trusted()
