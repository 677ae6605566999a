"""Sandbox: the path of one exposure comes in; what `prepare` makes of it goes out, from a worker process.

Untrusted input can crash a process, fill the memory or never end; only the worker suffers. It is started, not forked,
and shares one pair of pipes with the box. It has a memory limit, is killed when an exposure takes too long, and ends
with the box. It answers with JSON and raw bytes: nothing it sends is executed.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import StrictBool

from console.errors import ExpectedError
from device.config import GateConfig, LimitsConfig
from device.contract import (
    Caveat,
    ContractError,
    Exposure,
    Message,
    Milliseconds,
    Reason,
    Source,
    decode,
    encode,
    parse,
)
from device.intake.gate import (
    Accepted,
    AgeLimits,
    GateDecision,
    Rejected,
)
from device.intake.prepare import Identity, Prepared
from device.intake.worker_process import HEAD, WorkerLost, WorkerProcess
from device.preprocess.render import INPUT_SHAPE

log = logging.getLogger(__name__)

START_S = 60.0
"""A box on a slow card takes its time to import everything; only the first exposure after a start ever waits for it."""


class SandboxBroken(ExpectedError):
    """Not even a new worker starts: no fault of the exposure, which stays where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Message):
    """The worker's JSON reply for one exposure. `spent`: its memory is used up and it asks to be replaced.

    `detail`: what exactly is wrong with a rejected exposure.
    """

    exposure: Exposure
    identity: Identity
    accepted: StrictBool
    reason: Reason | None
    caveats: tuple[Caveat, ...]
    decode_ms: Milliseconds | None
    preprocess_ms: Milliseconds | None
    spent: StrictBool
    detail: str = ""


class Sandbox:
    """Prepares exposures one at a time in a worker process that is warm before the first. Safe for several threads."""

    def __init__(self, policy: GateConfig, ages: AgeLimits, limits: LimitsConfig) -> None:
        self._limits = limits
        self._settings = json.dumps(
            {
                "policy": policy.model_dump(mode="json"),
                "ages": {"min_years": ages.min_years, "max_years": ages.max_years},
                "limits": limits.model_dump(mode="json"),
            }
        ).encode()
        self._lock = threading.Lock()
        self._worker = self._started()

    def prepare(self, path: Path, *, source_hint: Source = Source.FILE) -> Prepared:
        """As `prepare.prepare`; an exposure that ends the worker or its time is unreadable.

        Never raises for a fault of the exposure. Raises SandboxBroken.
        """
        request = json.dumps({"path": os.fsdecode(path.absolute()), "source": source_hint.value}).encode()
        with self._lock:
            started = time.perf_counter()
            try:
                return self._request(request)
            except WorkerLost as loss:
                log.warning("sandbox_lost", extra={"how": type(loss).__name__, "detail": str(loss)})
                self._replace()
                spent_ms = (time.perf_counter() - started) * 1e3
                return replace(Prepared.unread(source_hint, Reason.UNREADABLE), decode_ms=spent_ms)

    def _request(self, request: bytes) -> Prepared:
        worker = self._ready_worker()
        worker.send(request)
        text, image, thumbnail = worker.receive(self._limits.prepare_s)
        prepared, spent = _prepared(text, image, thumbnail)
        if isinstance(prepared.decision, Rejected) and prepared.decision.detail:
            log.info(
                "exposure_unreadable",
                extra={"reason": prepared.decision.reason.value, "detail": prepared.decision.detail},
            )
        if spent:
            self._replace()
        return prepared

    def _ready_worker(self) -> WorkerProcess:
        """A worker that is ready. One that died while idle was not killed by this exposure."""
        for _ in range(3):
            try:
                if self._worker is not None:
                    self._worker.wait_ready(START_S)
                    return self._worker
            except WorkerLost:
                pass
            self._replace()
        raise SandboxBroken(
            "exposures cannot be opened: no worker process starts; check free memory and the installation"
        )

    def _replace(self) -> None:
        """End the worker and start the next at once, so that the next exposure finds it warm."""
        if self._worker is not None:
            self._worker.end()
        self._worker = self._started()

    def _started(self) -> WorkerProcess | None:
        try:
            return WorkerProcess(self._settings)
        except OSError as error:
            log.error("sandbox_not_started", extra={"errno": error.errno})  # noqa: TRY400 - the number says it all
            return None

    def close(self) -> None:
        """End the worker."""
        with self._lock:
            if self._worker is not None:
                self._worker.end()
                self._worker = None

    @property
    def pid(self) -> int | None:
        """Process id of the worker, for health and tests."""
        return None if self._worker is None else self._worker.process.pid


def _prepared(text: bytes, image: bytes, thumbnail: bytes) -> tuple[Prepared, bool]:
    """Raises WorkerLost for a reply that this version's worker would not send."""
    try:
        reply_json = parse(text)
        if isinstance(reply_json, dict) and "fault" in reply_json:
            raise WorkerLost(f"died of {str(reply_json['fault'])[:80]}")
        reply = decode(Reply, reply_json, "reply")
    except ContractError as error:
        raise WorkerLost(f"nonsense: {error}") from None
    if reply.accepted != bool(image) or reply.accepted == (reply.reason is not None):
        raise WorkerLost("nonsense: an image for an accepted exposure expected")
    decision: GateDecision = Accepted(caveats=reply.caveats)
    if reply.reason is not None:
        decision = Rejected(reason=reply.reason, caveats=reply.caveats, detail=reply.detail)
    prepared = Prepared(
        exposure=reply.exposure,
        identity=reply.identity,
        decision=decision,
        image=np.frombuffer(image, np.uint8).reshape(INPUT_SHAPE) if image else None,
        thumbnail=thumbnail or None,
        decode_ms=reply.decode_ms,
        preprocess_ms=reply.preprocess_ms,
    )
    return prepared, reply.spent


def reply_of(prepared: Prepared, *, spent: bool) -> bytes:
    """One whole answer of the worker."""
    decision = prepared.decision
    reply = Reply(
        exposure=prepared.exposure,
        identity=prepared.identity,
        accepted=isinstance(decision, Accepted),
        reason=decision.reason if isinstance(decision, Rejected) else None,
        caveats=decision.caveats,
        decode_ms=prepared.decode_ms,
        preprocess_ms=prepared.preprocess_ms,
        spent=spent,
        detail=decision.detail if isinstance(decision, Rejected) else "",
    )
    text = json.dumps(encode(reply)).encode()
    image = b"" if prepared.image is None else prepared.image.tobytes()
    thumbnail = prepared.thumbnail or b""
    return HEAD.pack(len(text), len(image), len(thumbnail)) + text + image + thumbnail
