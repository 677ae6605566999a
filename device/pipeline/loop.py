"""Pipeline: a film from the spool comes in; a result in the outbox goes out, and then the film leaves the spool."""

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
"""A film that took the box down so often is answered unread, so that it does not block those behind it."""
PAUSE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessedExposure:
    """A classified exposure: what is published (`seq` still 0) and what the board shows."""

    result: Result
    entry: BoardEntry


class Processor(Protocol):
    """What makes an answer of a film; `give_up` makes one without opening it."""

    def process(self, film: SpooledExposure) -> ProcessedExposure:
        """Decode, gate, classify, decide."""

    def give_up(self, film: SpooledExposure) -> ProcessedExposure:
        """The rejection `unreadable`."""


class Pipeline:
    """One film at a time, oldest first."""

    def __init__(
        self,
        spool: Spool,
        outbox: Outbox,
        processor: Processor,
        alarms: Alarms,
        *,
        on_put: Callable[[], None] = lambda: None,
    ) -> None:
        self._spool, self._outbox, self._processor, self._alarms, self._on_put = (
            spool,
            outbox,
            processor,
            alarms,
            on_put,
        )
        self.last_film_s: float | None = None
        """When the last film was answered, on the monotonic clock."""

    def step(self) -> bool:
        """Answer the oldest film; False when none waits or its answer finds no room now."""
        film = self._spool.oldest()
        if film is None:
            return False
        try:
            answer = self._answer(film)
            result = self._outbox.put(answer.result, answer.entry)
        except (OutboxFull, OSError) as error:
            self._alarms.set("disk_full", str(error))
            self._spool.spare(film)
            return False
        self._alarms.clear("disk_full")
        self._spool.done(film)
        self.last_film_s = time.monotonic()
        self._tell(answer, result)
        return True

    def run(self, stop: Event, beat: Callable[[], None] = lambda: None) -> None:
        """Until `stop` is set (and the spool's `close` called)."""
        while not stop.is_set():
            if self.step():
                beat()
                continue
            beat()
            if self._spool.depth:
                stop.wait(PAUSE_S)
            else:
                self._spool.wait(PAUSE_S)

    def _answer(self, film: SpooledExposure) -> ProcessedExposure:
        if film.tries >= MAX_TRIES:
            log.error("film_given_up", extra={"tries": film.tries})
            return self._processor.give_up(film)
        attempted = self._spool.attempt(film)
        try:
            return self._processor.process(attempted)
        except SandboxBroken:
            # No fault of the film, and the box ends of it: a few such starts must not use up the film's tries.
            with suppress(OSError):
                self._spool.spare(film)
            raise

    def _tell(self, answer: ProcessedExposure, result: Result | None) -> None:
        if result is None:
            log.info("film_again", extra={"result": answer.result.result_id})
            return
        self._on_put()
        log.info(
            "film_answered",
            extra={
                "result": result.result_id,
                "seq": result.seq,
                "flag": result.flag,
                "reason": result.gate.reason,
                "total_ms": result.timing_ms.total,
            },
        )
