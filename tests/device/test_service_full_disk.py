"""A box whose disk is full starts, goes on and says so."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from device import service as box_module
from device.bundle.loader import PublicKey
from device.config import load_config
from device.delivery.outbox import OutboxFull
from device.service import Box
from tests.support.box import BoxProcess
from tests.support.mosquitto import free_port


@pytest.fixture
def box(tmp_path: Path, tiny_bundle: tuple[Path, PublicKey]) -> Iterator[Box]:
    made = Box(load_config(BoxProcess(tmp_path, tiny_bundle, broker_port=free_port()).config))
    yield made
    made.stop()


def test_old_flags_that_cannot_be_pruned_are_an_alarm_and_no_end(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> int:
        raise OutboxFull("the disk is full")

    monkeypatch.setattr(box.outbox, "prune", refuse)
    health = box._health()
    health.step()
    assert "the disk is full" in health.report().alarms["not_pruned"]
    monkeypatch.undo()
    box._housekeeping()
    assert "not_pruned" not in health.report().alarms


def test_a_ports_file_that_cannot_be_written_is_an_alarm_and_no_end(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: Path, _text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(box_module, "_write_whole", refuse)
    ports = box.start()
    assert ports["dicom"] == box.config.dicom.port
    assert "No space left" in box._alarms.active()["ports_file"]
