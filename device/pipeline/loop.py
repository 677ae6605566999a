"""Pipeline: a spooled exposure comes in; its result in the outbox goes out, then the exposure leaves the spool."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Event
from typing import Protocol

from device.contract import Result
from device.delivery.flag_history import BoardEntry
from device.delivery.outbox import Outbox, OutboxFull
from device.host.alarms import Alarms
from device.intake.sandbox import SandboxBroken
from device.receive.spool import Spool, SpooledExposure

log = logging.getLogger(__name__)

MAX_TRIES = 3
"""After so many crashes an exposure is rejected unopened, so that it does not block those behind it."""
PAUSE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessedExposure:
    """A classified exposure: what is published (`seq` still 0) and what the board shows."""

    result: Result
    entry: BoardEntry


class Processor(Protocol):
    """Turns an exposure into a result."""

    def process(self, exposure: SpooledExposure) -> ProcessedExposure:
        """Decode, gate, classify, decide."""

    def give_up(self, exposure: SpooledExposure) -> ProcessedExposure:
        """Return the rejection `unreadable` without opening the exposure."""


class Pipeline:
    """Classifies the spooled exposures one at a time, oldest first."""

    def __init__(
        self,
        spool: Spool,
        outbox: Outbox,
        processor: Processor,
        alarms: Alarms,
        *,
        on_put: Callable[[], None] = lambda: None,
    ) -> None:
        self._spool, self._outbox, self._processor = spool, outbox, processor
        self._alarms, self._on_put = alarms, on_put
        self.last_exposure_s: float | None = None
        """When the last exposure was processed, on the monotonic clock."""

    def step(self) -> bool:
        """Classify the oldest exposure; return False if none waits or the outbox is full."""
        exposure = self._spool.oldest()
        if exposure is None:
            return False
        try:
            answer = self._answer(exposure)
            result = self._outbox.put(answer.result, answer.entry)
        except (OutboxFull, OSError) as error:
            self._alarms.set("disk_full", str(error))
            self._spool.restore_attempt(exposure)
            return False
        self._alarms.clear("disk_full")
        self._spool.done(exposure)
        self.last_exposure_s = time.monotonic()
        self._log_result(answer, result)
        return True

    def run(self, stop: Event, beat: Callable[[], None] = lambda: None) -> None:
        """Run until `stop` is set (and the spool's `close` called)."""
        while not stop.is_set():
            if self.step():
                beat()
                continue
            beat()
            if self._spool.depth:
                stop.wait(PAUSE_S)
            else:
                self._spool.wait(PAUSE_S)

    def _answer(self, exposure: SpooledExposure) -> ProcessedExposure:
        if exposure.tries >= MAX_TRIES:
            log.error("exposure_given_up", extra={"tries": exposure.tries})
            return self._processor.give_up(exposure)
        attempted = self._spool.attempt(exposure)
        try:
            return self._processor.process(attempted)
        except SandboxBroken:
            # Not the exposure's fault, and it stops the box: a few such starts must not use up its tries.
            with suppress(OSError):
                self._spool.restore_attempt(exposure)
            raise

    def _log_result(self, answer: ProcessedExposure, result: Result | None) -> None:
        if result is None:
            log.info("exposure_resent", extra={"result": answer.result.result_id})
            return
        self._on_put()
        log.info(
            "exposure_processed",
            extra={
                "result": result.result_id,
                "seq": result.seq,
                "flag": result.flag,
                "reason": result.gate.reason,
                "total_ms": result.timing_ms.total,
            },
        )
