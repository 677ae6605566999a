from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from device.contract import Flag, Gate, GateStatus, Reason, Source
from device.delivery.outbox import Outbox, OutboxFull
from device.host.alarms import Alarms
from device.intake.sandbox import SandboxBroken
from device.pipeline.loop import MAX_TRIES, Pipeline, ProcessedExposure
from device.receive.spool import Spool, SpooledExposure
from tests.support.results import draft, entry


class FakeProcessor:
    """Answers by content; dies of exposures that say so."""

    def process(self, exposure: SpooledExposure) -> ProcessedExposure:
        body = exposure.path.read_bytes()
        if body == b"deadly":
            raise SystemError("the interpreter is gone")
        result = draft(hashlib.sha256(body).hexdigest())
        return ProcessedExposure(result=result, entry=entry(result))

    def give_up(self, exposure: SpooledExposure) -> ProcessedExposure:
        result = replace(
            draft("given up"),
            flag=Flag.UNCLASSIFIED,
            probability=None,
            score=None,
            gate=Gate(status=GateStatus.REJECTED, reason=Reason.UNREADABLE),
        )
        return ProcessedExposure(result=result, entry=entry(result))


class PipelineParts:
    def __init__(self, root: Path) -> None:
        self.spool = Spool(root / "spool", reserve_bytes=0)
        self.outbox = Outbox(root / "outbox.sqlite")
        self.alarms = Alarms()
        self.wakes = 0
        self.pipeline = Pipeline(self.spool, self.outbox, FakeProcessor(), self.alarms, on_put=self._count)

    def _count(self) -> None:
        self.wakes += 1

    def put(self, body: bytes) -> SpooledExposure:
        return self.spool.put(body, source=Source.DICOM, receive_ms=None)


def test_an_exposure_leaves_the_spool_once_its_result_is_in_the_outbox(tmp_path: Path) -> None:
    parts = PipelineParts(tmp_path)
    parts.put(b"a")
    parts.put(b"b")
    assert [parts.pipeline.step() for _ in range(3)] == [True, True, False]
    assert (parts.spool.depth, parts.outbox.depth(), parts.wakes) == (0, 2, 2)
    assert list((tmp_path / "spool").iterdir()) == []


def test_an_exposure_sent_again_gives_no_second_result(tmp_path: Path) -> None:
    parts = PipelineParts(tmp_path)
    for _ in range(3):
        parts.put(b"a")
        assert parts.pipeline.step()
    assert (parts.spool.depth, parts.outbox.depth(), parts.wakes) == (0, 1, 1)


def test_an_exposure_that_was_answered_when_the_box_died_is_not_answered_twice(tmp_path: Path) -> None:
    parts = PipelineParts(tmp_path)
    exposure = parts.put(b"a")
    answer = FakeProcessor().process(parts.spool.attempt(exposure))
    parts.outbox.put(answer.result, answer.entry)  # and killed before the exposure left the spool
    parts.outbox.close()
    again = PipelineParts(tmp_path)
    assert again.pipeline.step()
    assert (again.spool.depth, again.outbox.depth(), again.outbox.last_seq()) == (0, 1, 1)


def test_an_exposure_that_takes_the_box_down_each_time_is_answered_unreadable_and_blocks_nobody(tmp_path: Path) -> None:
    PipelineParts(tmp_path).put(b"deadly")
    for _ in range(MAX_TRIES):
        with pytest.raises(SystemError):
            PipelineParts(tmp_path).pipeline.step()
    parts = PipelineParts(tmp_path)
    parts.put(b"next")
    assert [parts.pipeline.step(), parts.pipeline.step()] == [True, True]
    first, second = parts.outbox.history(2)[::-1]
    assert first.result["gate"]["reason"] == "unreadable"
    assert second.result["flag"] == "clear"


def test_a_sandbox_that_does_not_start_uses_up_no_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> ProcessedExposure:
        raise SandboxBroken("no worker process starts")

    PipelineParts(tmp_path).put(b"a")
    monkeypatch.setattr(FakeProcessor, "process", refuse)
    for _ in range(MAX_TRIES + 1):
        with pytest.raises(SandboxBroken):
            PipelineParts(tmp_path).pipeline.step()
    monkeypatch.undo()
    parts = PipelineParts(tmp_path)
    assert parts.pipeline.step()
    assert parts.outbox.history(1)[0].result["flag"] == "clear", "it was opened after all"


def test_an_exposure_that_is_gone_does_not_hide_that_the_sandbox_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: FakeProcessor, exposure: SpooledExposure) -> ProcessedExposure:
        exposure.path.unlink()
        raise SandboxBroken("no worker process starts")

    parts = PipelineParts(tmp_path)
    parts.put(b"a")
    monkeypatch.setattr(FakeProcessor, "process", refuse)
    with pytest.raises(SandboxBroken):
        parts.pipeline.step()


def test_without_space_for_the_result_the_exposure_stays_and_is_answered_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = PipelineParts(tmp_path)
    parts.put(b"a")

    def refuse(*_: object) -> None:
        raise OutboxFull("the disk is full")

    monkeypatch.setattr(parts.outbox, "put", refuse)
    assert not any(parts.pipeline.step() for _ in range(MAX_TRIES + 2))
    assert "disk_full" in parts.alarms.active()
    monkeypatch.undo()
    assert parts.pipeline.step()
    assert parts.outbox.history(1)[0].result["flag"] == "clear", "waiting for space counts as no try"
    assert parts.alarms.active() == {}
