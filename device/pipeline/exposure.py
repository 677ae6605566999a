"""Exposure: one received exposure comes in; its result, still without a sequence number, goes out.

The service and the offline command share it, so both give the same result for the same exposure.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

from device.bundle.ood_rule import Floats32
from device.contract import (
    Clock,
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
    content_id,
    decide,
    pseudonym,
    result_id,
)
from device.inference.classifier import ClassifyError, Scores
from device.intake.gate import Accepted
from device.intake.prepare import Prepared
from device.receive.spool import ReceivedExposure

_CHUNK_BYTES = 1 << 20
_DIGEST_BYTES = 256 << 20
"""A larger file is identified by its first part and its size."""


class Preparer(Protocol):
    """What `sandbox.Sandbox` does."""

    def prepare(self, path: Path, *, source_hint: Source = Source.FILE) -> Prepared:
        """Return one exposure, ready for the network or rejected. Never raises for a fault of the exposure."""


class Network(Protocol):
    """What `inference.classifier.Classifier` does."""

    @property
    def model(self) -> Model:
        """The model as results name it."""

    @property
    def runtime(self) -> Runtime:
        """What runs the network now."""

    @property
    def thresholds(self) -> Thresholds:
        """The operating points in force."""

    def classify(self, image: NDArray[np.uint8]) -> Scores:
        """Return the scores of an image, uint8 (224, 224). Raises ClassifyError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteIdentity:
    """The box that classifies. Without `key` (offline) no identifier can be linked to a patient."""

    site: str
    device: str
    boot_id: str
    key: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureResult:
    """A result with `seq` 0, what the board shows beside it, and the network's scores.

    `scores` is None if the network gave none. Those of an exposure rejected as out of distribution are kept here, but
    not in the result.
    """

    result: Result
    prepared: Prepared
    scores: Scores | None

    @property
    def evidence(self) -> tuple[Floats32, NDArray[np.uint8]] | None:
        """The evidence map, float32 (m, n), and its image, uint8 (224, 224); None without a flag or a map.

        The map adds up to the logit, with the network's constant spread evenly. Otherwise a map that leans to one side
        everywhere, against that constant, would look like evidence.
        """
        scores, image = self.scores, self.prepared.image
        if scores is None or image is None or scores.evidence is None or self.result.flag is Flag.UNCLASSIFIED:
            return None
        constant = scores.logit - float(scores.evidence.sum(dtype=np.float64))
        return scores.evidence + np.float32(constant / scores.evidence.size), image


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureClassifier:
    """The parts of a box that turn an exposure into a result."""

    preparer: Preparer
    network: Network
    identity: SiteIdentity
    clock: Callable[[], Clock]

    def classify(self, exposure: ReceivedExposure) -> ExposureResult:
        """Prepare, classify, decide.

        Raises EngineFault and the like from the network only where it has no backend left to fall back to.
        """
        network, identity = self.network, self.identity
        prepared = self.preparer.prepare(exposure.path, source_hint=exposure.source)
        scores = _scores(prepared, network)
        gate = _gate(prepared, scores)
        valid = scores if gate.status is GateStatus.ACCEPTED else None
        decided = self.clock()
        result = Result(
            **_identifiers(exposure.path, prepared, network.model, identity.key),
            site=identity.site,
            device=identity.device,
            boot_id=identity.boot_id,
            seq=0,
            exposure=prepared.exposure,
            gate=gate,
            flag=Flag.UNCLASSIFIED if valid is None else decide(valid.probability, network.thresholds),
            probability=None if valid is None else valid.probability,
            score=None if valid is None else valid.score,
            thresholds=network.thresholds,
            model=network.model,
            runtime=network.runtime,
            timing_ms=_timing(exposure, prepared, scores, decided),
            clock=decided,
        )
        return ExposureResult(result=result, prepared=prepared, scores=scores)


def _scores(prepared: Prepared, classifier: Network) -> Scores | None:
    """Return the scores, or None if the gate rejected the exposure or the network gave no usable number."""
    if prepared.image is None:
        return None
    try:
        return classifier.classify(prepared.image)
    except ClassifyError:
        return None


def _gate(prepared: Prepared, scores: Scores | None) -> Gate:
    """Return the gate's decision, or a rejection if the image is out of distribution."""
    decision = prepared.decision
    if isinstance(decision, Accepted):
        if scores is not None and not scores.in_distribution:
            return Gate(status=GateStatus.REJECTED, reason=Reason.OUT_OF_DISTRIBUTION, caveats=decision.caveats)
        return Gate(status=GateStatus.ACCEPTED, caveats=decision.caveats)
    return Gate(status=GateStatus.REJECTED, reason=decision.reason, caveats=decision.caveats)


def _timing(exposure: ReceivedExposure, prepared: Prepared, scores: Scores | None, decided: Clock) -> TimingMs:
    total_ms = (decided.at - exposure.received_at).total_seconds() * 1e3
    return TimingMs(
        receive=exposure.receive_ms,
        decode=prepared.decode_ms,
        preprocess=prepared.preprocess_ms,
        infer=None if scores is None else scores.infer_ms,
        # A wall clock set back meanwhile must not make time negative.
        total=max(0.0, total_ms),
    )


class _Identifiers(TypedDict):
    result_id: str
    exposure_id: str
    study_id: str | None
    patient_id: str | None
    accession_id: str | None


def _identifiers(path: Path, prepared: Prepared, model: Model, key: bytes | None) -> _Identifiers:
    """Return the keyed identifiers; without a UID or a key the exposure is identified by its content."""
    patient = prepared.identity
    by_uid = _keyed(key, IdentifierType.EXPOSURE, patient.sop_uid)
    exposure_id = by_uid or content_id(key or b"", content_sha256(path))
    return {
        "result_id": result_id(exposure_id, model.digest),
        "exposure_id": exposure_id,
        "study_id": _keyed(key, IdentifierType.STUDY, patient.study_uid),
        "patient_id": _keyed(key, IdentifierType.PATIENT, patient.patient_id),
        "accession_id": _keyed(key, IdentifierType.ACCESSION, patient.accession),
    }


def _keyed(key: bytes | None, identifier_type: IdentifierType, value: str | None) -> str | None:
    return None if key is None else pseudonym(key, identifier_type, value)


def content_sha256(path: Path) -> str:
    """Return SHA-256 in hex over a file's bytes; above 256 MiB, over the first 256 MiB and the size.

    A file that cannot be read (a pipe, a missing permission) is identified by its path, so that two of them remain two
    exposures.
    """
    digest = hashlib.sha256()
    try:
        _digest_file(path, digest.update)
    except OSError:
        return hashlib.sha256(b"unreadable\0" + os.fsencode(path)).hexdigest()
    return digest.hexdigest()


def _digest_file(path: Path, update: Callable[[bytes], object]) -> None:
    # Without O_NONBLOCK a named pipe would block the box.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb", buffering=0) as stream:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError("not a regular file")
        left = _DIGEST_BYTES
        while left > 0 and (chunk := stream.read(min(_CHUNK_BYTES, left))):
            update(chunk)
            left -= len(chunk)
        if facts.st_size > _DIGEST_BYTES:
            update(str(facts.st_size).encode())
