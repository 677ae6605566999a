"""Arrivals: a message from the broker comes in; rows for the store, or a rejection, go out. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from collector.store.store import Batch
from device.contract import ContractError, Exposure, Result, Topics, iso_utc, parse

MAX_HEALTH_BYTES = 16_384
MAX_HEALTH_DEPTH = 8
MAX_HEALTH_NUMBER = 2**63 - 1
DICOM_TERM = re.compile(r"[A-Za-z0-9 _./-]{1,64}")
"""Wider than DICOM's code string (PS3.5, 6.2): some makers write lower-case letters."""
DICOM_TERMS = ("modality", "body_part", "view", "sex", "transfer_syntax")
MAX_ERROR_CHARACTERS = 300
MAX_TOPIC_CHARACTERS = 256
STATUSES = ("online", "offline")
AS_SENT = (
    *("result_id", "site", "device", "seq", "boot_id", "exposure_id", "study_id", "accession_id", "patient_id"),
    *("probability", "score"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What the broker handed over. `mid` and `session` are what an acknowledgement needs."""

    topic: str
    payload: bytes
    qos: int
    mid: int
    session: int
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A message, read. Exactly one of `result`, `box` alone, and `rejected` stands; `result` comes with a `box`."""

    message: Message
    result: Mapping[str, Any] | None = None
    box: Mapping[str, Any] | None = None
    rejected: Mapping[str, Any] | None = None

    @property
    def owed(self) -> tuple[Topics, str] | None:
        """The box and the result id that a receipt is owed for, once this is committed."""
        if self.result is None:
            return None
        return Topics(site=self.result["site"], device=self.result["device"]), self.result["result_id"]


def read(message: Message) -> Arrival:
    """The message's meaning. A message outside the contract becomes a rejection, never an exception."""
    try:
        return _understood(message, Topics.of(message.topic))
    except ContractError as error:
        return reject(message, str(error))
    except (ValueError, OverflowError, RecursionError) as error:
        # Raised again it would come back with each start, for the broker keeps what is not acknowledged.
        return reject(message, f"message: cannot be read ({type(error).__name__})")


def _understood(message: Message, topics: Topics) -> Arrival:
    if message.topic == topics.result:
        return _result(message, topics)
    if message.topic == topics.status:
        return _box(message, topics, status=_status(message.payload), status_at=iso_utc(message.received_at))
    if message.topic == topics.health:
        return _box(message, topics, health=_health(message.payload), health_at=iso_utc(message.received_at))
    raise ContractError("topic: result, status or health expected")


def reject(message: Message, error: str) -> Arrival:
    """The rejection's row holds no part of the payload, which may be anything: its size and digest only."""
    row = {
        "received_at": iso_utc(message.received_at),
        "topic": _storable(message.topic[:MAX_TOPIC_CHARACTERS]),
        "error": _storable(error[:MAX_ERROR_CHARACTERS]),
        "size_bytes": len(message.payload),
        "sha256": hashlib.sha256(message.payload).hexdigest(),
    }
    return Arrival(message=message, rejected=row)


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\0", " ")


def batch(arrivals: Iterable[Arrival]) -> Batch:
    """One group commit; of each box one row, the later message's word counting."""
    arrivals = list(arrivals)
    boxes: dict[tuple[str, str], dict[str, Any]] = {}
    for arrival in arrivals:
        if arrival.box is not None:
            merged = boxes.setdefault((arrival.box["site"], arrival.box["device"]), {})
            last = max(merged.get("last_seq") or 0, arrival.box.get("last_seq") or 0)
            merged.update(arrival.box)
            if last:
                merged["last_seq"] = last
    return Batch(
        results=tuple(a.result for a in arrivals if a.result is not None),
        boxes=tuple(boxes.values()),
        rejected=tuple(a.rejected for a in arrivals if a.rejected is not None),
    )


def _result(message: Message, topics: Topics) -> Arrival:
    result = Result.from_json(message.payload)
    _check_terms(result.exposure)
    if (result.site, result.device) != (topics.site, topics.device):
        raise ContractError("site, device: the result names another box than its topic")
    received_at = iso_utc(message.received_at)
    row = {name: getattr(result, name) for name in AS_SENT} | {
        "acquired_at": None if result.exposure.acquired_at is None else iso_utc(result.exposure.acquired_at),
        "decided_at": iso_utc(result.clock.at),
        "received_at": received_at,
        "gate_status": str(result.gate.status),
        "reason": None if result.gate.reason is None else str(result.gate.reason),
        "flag": str(result.flag),
        "view": result.exposure.view,
        "sex": result.exposure.sex,
        "age_years": result.exposure.age_years,
        "model_name": result.model.name,
        "model_version": result.model.version,
        "model_digest": result.model.digest,
        "total_ms": result.timing_ms.total,
        "body": message.payload.decode("utf-8", "strict"),
    }
    arrival = _box(message, topics, last_seq=result.seq, last_result_at=received_at)
    return Arrival(message=message, result=row, box=arrival.box)


def _check_terms(exposure: Exposure) -> None:
    """Boxes send fixed terms; a broker that lets anyone publish may bring any text, and what is stored is shown."""
    for name in DICOM_TERMS:
        term = getattr(exposure, name)
        if term is not None and not DICOM_TERM.fullmatch(term):
            raise ContractError(
                f"result.exposure.{name}: expected {DICOM_TERM.pattern}, got str of {len(term)} characters"
            )


def _box(message: Message, topics: Topics, **columns: Any) -> Arrival:
    seen = {"site": topics.site, "device": topics.device, "last_seen_at": iso_utc(message.received_at)}
    return Arrival(message=message, box={**seen, **columns})


def _status(payload: bytes) -> str:
    text = payload.decode("utf-8", "replace").strip()
    if text.startswith("{"):
        text = str(_object(payload, "status").get("status"))
    if text not in STATUSES:
        raise ContractError(f"status: expected {' or '.join(STATUSES)}")
    return text


def _health(payload: bytes) -> str:
    if len(payload) > MAX_HEALTH_BYTES:
        raise ContractError(f"health: expected at most {MAX_HEALTH_BYTES} bytes, got {len(payload)}")
    report = _object(payload, "health")
    _check_health(report, MAX_HEALTH_DEPTH)
    return json.dumps(report, ensure_ascii=True)


def _check_health(value: Any, depth: int) -> None:
    """Raise ContractError for numbers and texts that could not be shown, and for deep nesting."""
    if not depth:
        raise ContractError(f"health: expected at most {MAX_HEALTH_DEPTH} levels of nesting")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ContractError("health: expected text without half a surrogate pair") from None
    elif isinstance(value, (int, float)) and not abs(value) <= MAX_HEALTH_NUMBER:  # not (<=): NaN compares false
        raise ContractError("health: expected finite numbers of at most 63 bits")
    elif isinstance(value, (dict, list)):
        for part in [*value, *value.values()] if isinstance(value, dict) else value:
            _check_health(part, depth - 1)


def _object(payload: bytes, name: str) -> dict[str, Any]:
    try:
        value = parse(payload)
    except ContractError:
        raise ContractError(f"{name}: expected JSON, got other text") from None
    if not isinstance(value, dict):
        raise ContractError(f"{name}: expected an object, got {type(value).__name__}")
    return value
