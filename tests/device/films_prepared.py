"""`prepare` with the default policy for adults, in this process."""

from __future__ import annotations

from pathlib import Path

from device.config import GateConfig, LimitsConfig
from device.contract import Reason, Source
from device.intake.gate import Ages, Rejected
from device.intake.prepare import Prepared, prepare


def prepared(path: Path, **limits: int) -> Prepared:
    return prepare(
        path,
        source_hint=Source.FILE,
        policy=GateConfig(),
        ages=Ages(min_years=20),
        limits=LimitsConfig(**limits),
    )


def reason(path: Path, **limits: int) -> Reason | None:
    verdict = prepared(path, **limits).verdict
    return verdict.reason if isinstance(verdict, Rejected) else None
