"""Films for tests of the flag page: results of every kind, as the outbox would hold them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import cv2
import numpy as np

from device.contract import Caveat, Flag, Gate, GateStatus, Reason, Result, Thresholds
from device.delivery.flag_history import BoardEntry
from device.delivery.outbox import Outbox
from tests.device.results import draft, entry

LIMITS = Thresholds(flag_at=0.55, clear_below=0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a test says of a film; the rest is plausible."""

    name: str = "film"
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
    judged_after_s: float = 1.0
    own_time: bool = True
    clock_trusted: bool = True
    thumbnail: bytes | None = b"\xff\xd8jpeg"
    seq: int = 0
    model: str = "pneumoflag-study"
    fell_back: bool = False


def result_of(film: Shown) -> Result:
    plain = draft(film.name, at=film.at, seq=film.seq)
    status = GateStatus.REJECTED if film.reason else GateStatus.ACCEPTED
    probability = None if film.reason else film.probability
    return replace(
        plain,
        flag=flag_of(probability),
        probability=probability,
        score=probability,
        thresholds=LIMITS,
        study_id=film.study,
        gate=Gate(status=status, reason=film.reason, caveats=film.caveats),
        exposure=replace(plain.exposure, view=film.view, age_years=film.age_years, sex=film.sex),
        clock=replace(plain.clock, at=film.at + timedelta(seconds=film.judged_after_s), trusted=film.clock_trusted),
        model=replace(plain.model, name=film.model),
        runtime=replace(plain.runtime, fell_back=film.fell_back),
    )


def flag_of(probability: float | None) -> Flag:
    if probability is None:
        return Flag.UNCLASSIFIED
    if probability >= LIMITS.flag_at:
        return Flag.PNEUMONIA
    return Flag.CLEAR if probability < LIMITS.clear_below else Flag.REVIEW


def entry_of(film: Shown, **changes: Any) -> BoardEntry:
    decided_at = film.at + timedelta(seconds=film.judged_after_s)
    shown = replace(
        entry(result_of(film)),
        patient_name=film.patient,
        patient_id=film.patient_id,
        accession=film.accession,
        acquired_at=film.at if film.own_time else None,
        received_at=film.at + timedelta(seconds=min(0.5, film.judged_after_s)),
        decided_at=decided_at,
        thumbnail=film.thumbnail,
    )
    return replace(shown, **changes)


def add(box: Outbox, name: str, *, ago_s: float = 0.0, **details: Any) -> Result:
    """Put a film of `ago_s` before now into the outbox, as the pipeline would."""
    film = Shown(name=name, at=datetime.now(UTC) - timedelta(seconds=ago_s), **details)
    put = box.put(result_of(film), entry_of(film))
    assert put is not None
    return put


def grey_jpeg(grey: int, side: int = 64) -> bytes:
    """An even picture: which film it is can be told from its grey."""
    encoded: bytes = cv2.imencode(".jpg", np.full((side, side), grey, np.uint8))[1].tobytes()
    return encoded
