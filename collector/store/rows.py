"""Rows of the store as typed values. Times are aware UTC datetimes; identifiers are keyed, never raw."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from device.contract import ID_HEX_DIGITS


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRow:
    """One result of a box. `body` is the message as it came."""

    result_id: str
    site: str
    device: str
    seq: int
    boot_id: str
    exposure_id: str
    study_id: str | None
    accession_id: str | None
    patient_id: str | None
    acquired_at: datetime | None
    decided_at: datetime
    received_at: datetime
    gate_status: str
    reason: str | None
    flag: str
    probability: float | None
    score: float | None
    view: str | None
    sex: str | None
    age_years: int | None
    model_name: str
    model_version: int
    model_digest: str
    total_ms: float
    body: str


class StudyResult(NamedTuple):
    """The columns of a result that a comparison needs. A named tuple, because a store holds a million of them."""

    exposure_id: str
    study_id: str | None
    accession_id: str | None
    patient_id: str | None
    acquired_at: datetime | None
    view: str | None
    sex: str | None
    age_years: int | None
    gate_status: str
    flag: str
    probability: float | None
    model_name: str
    model_version: int
    model_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxUpdate:
    """What one message, or several merged, say about a box. None leaves the stored value as it is."""

    site: str
    device: str
    last_seen_at: datetime
    last_seq: int | None = None
    last_result_at: datetime | None = None
    status: str | None = None
    status_at: datetime | None = None
    health: Mapping[str, object] | None = None
    health_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedMessage:
    """A message outside the contract: its size and digest, and no part of its content."""

    received_at: datetime
    topic: str
    error: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifiers:
    """Keyed identifiers of one exposure, 32 hex digits each. At least one of the first three is given."""

    exposure_id: str | None = None
    study_id: str | None = None
    accession_id: str | None = None
    patient_id: str | None = None

    def record_id(self, *parts: str) -> str:
        """Return the id of a record of `parts` about this exposure: the same record has the same id every time."""
        text = "\0".join([*parts, self.exposure_id or "", self.study_id or "", self.accession_id or ""])
        return hashlib.sha256(text.encode()).hexdigest()[:ID_HEX_DIGITS]


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorOutput(Identifiers):
    """One vendor output for one exposure. `score` is on 0-1; `positive` is None when no finding of the rule has one."""

    output_id: str
    system: str
    vendor: str
    version: str
    positive: bool | None
    score: float | None
    at_least: float | None
    score_scale: str | None
    rule_version: str
    raw_scores: Mapping[str, float]
    imported_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Read(Identifiers):
    """One reader's label for one exposure."""

    read_id: str
    reader: str
    positive: bool
    imported_at: datetime
