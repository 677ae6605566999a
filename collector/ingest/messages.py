"""Messages: a message from the broker comes in; rows for the store, or a rejection, go out. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from collector.store.rows import BoxUpdate, RejectedMessage, ResultRow
from collector.store.store import Batch
from device.contract import ContractError, Exposure, Result, Topics, parse

MAX_HEALTH_BYTES = 16_384
MAX_HEALTH_DEPTH = 8
MAX_HEALTH_NUMBER = 2**63 - 1
DICOM_TERM = re.compile(r"[A-Za-z0-9 _./-]{1,64}")
"""Wider than DICOM's code string (PS3.5, 6.2): some makers write lower-case letters."""
DICOM_TERMS = ("modality", "body_part", "view", "sex", "transfer_syntax")
MAX_ERROR_CHARACTERS = 300
MAX_TOPIC_CHARACTERS = 256
STATUSES = ("online", "offline")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as the broker delivered it. `mid` and `session` are what an acknowledgement needs."""

    topic: str
    payload: bytes
    qos: int
    mid: int
    session: int
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedMessage:
    """A message and its rows: `result` with `box`, `box` alone (status, health), or `rejected` alone."""

    message: Message
    result: ResultRow | None = None
    box: BoxUpdate | None = None
    rejected: RejectedMessage | None = None


def parse_message(message: Message) -> ParsedMessage:
    """Return the rows of a message. One outside the contract becomes a rejection, never an exception."""
    try:
        return _parse(message)
    except ContractError as error:
        return reject(message, str(error))
    except (ValueError, OverflowError, RecursionError) as error:
        # Raised on, it would come back at every start: the broker keeps what is not acknowledged.
        return reject(message, f"message: cannot be read ({type(error).__name__})")


def _parse(message: Message) -> ParsedMessage:
    topics = Topics.of(message.topic)
    box = BoxUpdate(site=topics.site, device=topics.device, last_seen_at=message.received_at)
    if message.topic == topics.result:
        result = _result(message, topics)
        box = replace(box, last_seq=result.seq, last_result_at=message.received_at)
        return ParsedMessage(message=message, result=result, box=box)
    if message.topic == topics.status:
        box = replace(box, status=_status(message.payload), status_at=message.received_at)
        return ParsedMessage(message=message, box=box)
    if message.topic == topics.health:
        box = replace(box, health=_health(message.payload), health_at=message.received_at)
        return ParsedMessage(message=message, box=box)
    raise ContractError("topic: expected result, status or health")


def reject(message: Message, error: str) -> ParsedMessage:
    """Return the message as rejected. The row holds no part of the payload, which may be anything."""
    row = RejectedMessage(
        received_at=message.received_at,
        topic=_storable(message.topic[:MAX_TOPIC_CHARACTERS]),
        error=_storable(error[:MAX_ERROR_CHARACTERS]),
        size_bytes=len(message.payload),
        sha256=hashlib.sha256(message.payload).hexdigest(),
    )
    return ParsedMessage(message=message, rejected=row)


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\0", " ")


def to_batch(messages: Iterable[ParsedMessage]) -> Batch:
    """Return one group commit. The updates of each box are merged into one: a later message counts."""
    messages = list(messages)
    boxes: dict[tuple[str, str], BoxUpdate] = {}
    for update in (parsed.box for parsed in messages if parsed.box is not None):
        earlier = boxes.get((update.site, update.device))
        boxes[update.site, update.device] = _merged(earlier, update) if earlier else update
    return Batch(
        results=tuple(parsed.result for parsed in messages if parsed.result is not None),
        boxes=tuple(boxes.values()),
        rejected=tuple(parsed.rejected for parsed in messages if parsed.rejected is not None),
    )


def _merged(earlier: BoxUpdate, later: BoxUpdate) -> BoxUpdate:
    return BoxUpdate(
        site=later.site,
        device=later.device,
        last_seen_at=later.last_seen_at,
        last_seq=max((seq for seq in (earlier.last_seq, later.last_seq) if seq is not None), default=None),
        last_result_at=later.last_result_at or earlier.last_result_at,
        status=later.status or earlier.status,
        status_at=later.status_at or earlier.status_at,
        health=earlier.health if later.health is None else later.health,
        health_at=later.health_at or earlier.health_at,
    )


def _result(message: Message, topics: Topics) -> ResultRow:
    result = Result.from_json(message.payload)
    _check_terms(result.exposure)
    if (result.site, result.device) != (topics.site, topics.device):
        raise ContractError("site, device: the result names another box than its topic")
    return ResultRow(
        result_id=result.result_id,
        site=result.site,
        device=result.device,
        seq=result.seq,
        boot_id=result.boot_id,
        exposure_id=result.exposure_id,
        study_id=result.study_id,
        accession_id=result.accession_id,
        patient_id=result.patient_id,
        acquired_at=result.exposure.acquired_at,
        decided_at=result.clock.at,
        received_at=message.received_at,
        gate_status=str(result.gate.status),
        reason=None if result.gate.reason is None else str(result.gate.reason),
        flag=str(result.flag),
        probability=result.probability,
        score=result.score,
        view=result.exposure.view,
        sex=result.exposure.sex,
        age_years=result.exposure.age_years,
        model_name=result.model.name,
        model_version=result.model.version,
        model_digest=result.model.digest,
        total_ms=result.timing_ms.total,
        body=message.payload.decode("utf-8", "strict"),
    )


def _check_terms(exposure: Exposure) -> None:
    """Boxes send fixed terms; a broker that lets anyone publish may bring any text, and what is stored is shown."""
    for name in DICOM_TERMS:
        term = getattr(exposure, name)
        if term is not None and not DICOM_TERM.fullmatch(term):
            raise ContractError(
                f"result.exposure.{name}: expected {DICOM_TERM.pattern}, got str of {len(term)} characters"
            )


def _status(payload: bytes) -> str:
    text = payload.decode("utf-8", "replace").strip()
    if text.startswith("{"):
        text = str(_object(payload, "status").get("status"))
    if text not in STATUSES:
        raise ContractError(f"status: expected {' or '.join(STATUSES)}")
    return text


def _health(payload: bytes) -> dict[str, object]:
    if len(payload) > MAX_HEALTH_BYTES:
        raise ContractError(f"health: expected at most {MAX_HEALTH_BYTES} bytes, got {len(payload)}")
    health = _object(payload, "health")
    _check_health(health, MAX_HEALTH_DEPTH)
    return health


def _check_health(value: object, depth: int) -> None:
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


def _object(payload: bytes, name: str) -> dict[str, object]:
    try:
        value = parse(payload)
    except ContractError:
        raise ContractError(f"{name}: expected JSON, got other text") from None
    if not isinstance(value, dict):
        raise ContractError(f"{name}: expected an object, got {type(value).__name__}")
    return value
