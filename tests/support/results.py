"""Plausible results for tests of the box's delivery."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

from device.contract import (
    Clock,
    Exposure,
    Flag,
    Gate,
    GateStatus,
    Model,
    Result,
    Runtime,
    Source,
    Thresholds,
    TimingMs,
)
from device.delivery.flag_history import BoardEntry

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
MODEL = Model(name="test", version=1, digest="0" * 64, preprocess_version=1, quantization="int8")


def hex_id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def draft(name: str = "exposure", *, at: datetime = NOW, seq: int = 0) -> Result:
    exposure = Exposure(
        modality="DX",
        body_part="CHEST",
        view="PA",
        age_years=51,
        sex="F",
        kvp=125.0,
        mas=None,
        acquired_at=at,
        rows=3072,
        columns=3072,
        transfer_syntax="1.2.840.10008.1.2.1",
        source=Source.DICOM,
    )
    return Result(
        result_id=hex_id(f"result {name}"),
        site="site",
        device="box",
        boot_id="b" * 32,
        seq=seq,
        exposure_id=hex_id(name),
        study_id=None,
        patient_id=None,
        accession_id=None,
        exposure=exposure,
        gate=Gate(status=GateStatus.ACCEPTED),
        flag=Flag.CLEAR,
        probability=0.1,
        score=0.2,
        thresholds=Thresholds(flag_at=0.7, clear_below=0.3),
        model=MODEL,
        runtime=Runtime(interpreter="litert", version="2", backend="cpu", fell_back=False),
        timing_ms=TimingMs(receive=1.0, decode=2.0, preprocess=3.0, infer=0.5, total=9.0),
        clock=Clock(at=at, trusted=True),
    )


def entry(result: Result) -> BoardEntry:
    at = result.clock.at
    return BoardEntry(
        result=result.to_dict(),
        patient_name="Doe^Jane",
        patient_id="4711",
        accession="A1",
        acquired_at=at,
        received_at=at,
        decided_at=at,
        thumbnail=b"\xff\xd8jpeg",
    )


def renamed(result: Result, name: str) -> Result:
    return replace(result, result_id=hex_id(f"result {name}"))
