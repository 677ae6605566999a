"""Exposures for tests of the flag page: results of every kind, as the outbox would hold them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import cv2
import numpy as np

from device.contract import Caveat, Flag, Gate, GateStatus, Reason, Result, Thresholds
from device.delivery.flag_history import BoardEntry
from device.delivery.outbox import Outbox
from tests.support.results import draft, entry

LIMITS = Thresholds(flag_at=0.55, clear_below=0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a test says of an exposure; the rest is plausible."""

    name: str = "exposure"
    at: datetime
    probability: float | None = 0.1
    reason: Reason | None = None
    patient: str | None = "DOE^JANE"
    patient_id: str | None = "100200"
    accession: str | None = "A-4711"
    view: str | None = "PA"
    age_years: int | None = 61
    sex: str | None = "F"
    study: str | None = None
    caveats: tuple[Caveat, ...] = ()
    classified_after_s: float = 1.0
    own_time: bool = True
    clock_trusted: bool = True
    thumbnail: bytes | None = b"\xff\xd8jpeg"
    seq: int = 0
    model: str = "pneumoflag-study"
    fell_back: bool = False


def result_of(exposure: Shown) -> Result:
    plain = draft(exposure.name, at=exposure.at, seq=exposure.seq)
    status = GateStatus.REJECTED if exposure.reason else GateStatus.ACCEPTED
    probability = None if exposure.reason else exposure.probability
    return replace(
        plain,
        flag=flag_of(probability),
        probability=probability,
        score=probability,
        thresholds=LIMITS,
        study_id=exposure.study,
        gate=Gate(status=status, reason=exposure.reason, caveats=exposure.caveats),
        exposure=replace(plain.exposure, view=exposure.view, age_years=exposure.age_years, sex=exposure.sex),
        clock=replace(
            plain.clock, at=exposure.at + timedelta(seconds=exposure.classified_after_s), trusted=exposure.clock_trusted
        ),
        model=replace(plain.model, name=exposure.model),
        runtime=replace(plain.runtime, fell_back=exposure.fell_back),
    )


def flag_of(probability: float | None) -> Flag:
    if probability is None:
        return Flag.UNCLASSIFIED
    if probability >= LIMITS.flag_at:
        return Flag.PNEUMONIA
    return Flag.CLEAR if probability < LIMITS.clear_below else Flag.REVIEW


def entry_of(exposure: Shown, **changes: Any) -> BoardEntry:
    decided_at = exposure.at + timedelta(seconds=exposure.classified_after_s)
    shown = replace(
        entry(result_of(exposure)),
        patient_name=exposure.patient,
        patient_id=exposure.patient_id,
        accession=exposure.accession,
        acquired_at=exposure.at if exposure.own_time else None,
        received_at=exposure.at + timedelta(seconds=min(0.5, exposure.classified_after_s)),
        decided_at=decided_at,
        thumbnail=exposure.thumbnail,
    )
    return replace(shown, **changes)


def add(box: Outbox, name: str, *, ago_s: float = 0.0, **details: Any) -> Result:
    """Put an exposure of `ago_s` before now into the outbox, as the pipeline would."""
    exposure = Shown(name=name, at=datetime.now(UTC) - timedelta(seconds=ago_s), **details)
    put = box.put(result_of(exposure), entry_of(exposure))
    assert put is not None
    return put


def grey_jpeg(grey: int, side: int = 64) -> bytes:
    """An even picture: which exposure it is can be told from its grey."""
    encoded: bytes = cv2.imencode(".jpg", np.full((side, side), grey, np.uint8))[1].tobytes()
    return encoded
