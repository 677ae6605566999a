"""Parts that the collector's tests share: a real mosquitto, results as a box sends them, a store in a folder."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.ingest.messages import Message
from collector.store.store import Store
from device.contract import (
    Clock,
    Exposure,
    Flag,
    Gate,
    GateStatus,
    IdentifierType,
    Model,
    Reason,
    Result,
    Runtime,
    Source,
    Thresholds,
    TimingMs,
    pseudonym,
    result_id,
)

KEY = bytes(range(32))
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def make_result(
    number: int,
    *,
    site: str = "site",
    device: str = "box",
    seq: int | None = None,
    flag: Flag = Flag.CLEAR,
    probability: float | None = 0.1,
    digest: str = "d" * 64,
    version: int = 1,
    study: str | None = None,
    accession: str | None = None,
    view: str = "PA",
    minutes: int | None = None,
    patient: str | None = None,
) -> Result:
    """Exposure `number`, as SOP Instance UID 1.2.<number>."""
    exposure_id = pseudonym(KEY, IdentifierType.EXPOSURE, f"1.2.{number}")
    assert exposure_id is not None
    rejected = flag is Flag.UNCLASSIFIED
    return Result(
        result_id=result_id(exposure_id, digest),
        site=site,
        device=device,
        boot_id="boot",
        seq=number if seq is None else seq,
        exposure_id=exposure_id,
        study_id=pseudonym(KEY, IdentifierType.STUDY, study),
        patient_id=pseudonym(KEY, IdentifierType.PATIENT, patient),
        accession_id=pseudonym(KEY, IdentifierType.ACCESSION, accession),
        exposure=Exposure(
            modality="DX",
            body_part="CHEST",
            view=view,
            age_years=50,
            sex="F",
            kvp=125.0,
            mas=1.6,
            acquired_at=NOON + timedelta(minutes=number if minutes is None else minutes),
            rows=3072,
            columns=3072,
            transfer_syntax="1.2.840.10008.1.2.1",
            source=Source.DICOM,
        ),
        gate=Gate(status=GateStatus.REJECTED, reason=Reason.LATERAL_VIEW)
        if rejected
        else Gate(status=GateStatus.ACCEPTED),
        flag=flag,
        probability=None if rejected else probability,
        score=None if rejected else probability,
        thresholds=Thresholds(flag_at=0.6, clear_below=0.3),
        model=Model(name="net", version=version, digest=digest, preprocess_version=1, quantization="int8"),
        runtime=Runtime(interpreter="litert", version="2", backend="cpu", fell_back=False),
        timing_ms=TimingMs(receive=1.0, decode=2.0, preprocess=3.0, infer=0.6, total=7.0),
        clock=Clock(at=NOON, trusted=True),
    )


def make_message(payload: bytes | str | Result, *, leaf: str = "result", device: str = "box", mid: int = 1) -> Message:
    """As the broker hands it over."""
    if isinstance(payload, Result):
        device, payload = payload.device, payload.to_json()
    return Message(
        topic=f"pneumoflag/v1/site/{device}/{leaf}",
        payload=payload.encode() if isinstance(payload, str) else payload,
        qos=1,
        mid=mid,
        session=1,
        received_at=NOON,
    )


@pytest.fixture
def a_result() -> Callable[..., Result]:
    return make_result


@pytest.fixture
def a_message() -> Callable[..., Message]:
    return make_message


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path}/collector.sqlite", busy_s=0.2)
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "site.key"
    path.write_text(KEY.hex())
    path.chmod(0o600)
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """A mosquitto that can be killed and started again on the same port. `settings` are lines of its configuration."""

    def __init__(self, folder: Path, *settings: str, anonymous: bool = True) -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", f"allow_anonymous {str(anonymous).lower()}", *settings]
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self._process = subprocess.Popen(
            [program, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise TimeoutError("mosquitto did not open its port")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    running = Broker(tmp_path)
    running.start()
    yield running
    running.kill()
