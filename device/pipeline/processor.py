"""Processor: a spooled exposure comes in; its result and its board entry go out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

from device.contract import Clock, GateStatus, Reason, Source
from device.delivery.flag_history import BoardEntry
from device.inference import heatmap
from device.intake.gate import Rejected
from device.intake.prepare import Prepared
from device.pipeline.exposure import (
    ExposureResult,
    Network,
    Preparer,
    SiteIdentity,
    classify_exposure,
)
from device.pipeline.loop import ProcessedExposure
from device.receive.spool import SpooledExposure


class ExposureProcessor:
    """The pipeline's processor: the same `classify_exposure` as the offline command, with the sandbox as preparer."""

    def __init__(
        self, preparer: Preparer, network: Network, identity: SiteIdentity, *, clock: Callable[[], Clock]
    ) -> None:
        self._preparer, self._network, self._identity, self._clock = preparer, network, identity, clock

    def process(self, exposure: SpooledExposure) -> ProcessedExposure:
        """Decode, gate, classify, decide."""
        return self._answer(exposure, self._preparer)

    def give_up(self, exposure: SpooledExposure) -> ProcessedExposure:
        """The rejection `unreadable`, from the file's digest alone."""
        return self._answer(exposure, _Unopened())

    def _answer(self, exposure: SpooledExposure, preparer: Preparer) -> ProcessedExposure:
        classified = classify_exposure(
            exposure.path,
            exposure.received_at,
            exposure.source,
            exposure.receive_ms,
            preparer,
            self._network,
            self._identity,
            self._clock,
        )
        return ProcessedExposure(result=classified.result, entry=_entry(classified, exposure))


class _Unopened:
    """Prepares nothing: for an exposure that took the box down each time it was opened."""

    def prepare(self, path: Path, *, source_hint: Source = Source.FILE) -> Prepared:  # noqa: ARG002 - never opened
        return Prepared.unread(source_hint, Reason.UNREADABLE)


def _entry(classified: ExposureResult, exposure: SpooledExposure) -> BoardEntry:
    identity = classified.prepared.identity
    return BoardEntry(
        result=classified.result.to_dict(),
        patient_name=identity.patient_name,
        patient_id=identity.patient_id,
        accession=identity.accession,
        acquired_at=classified.result.exposure.acquired_at,
        received_at=exposure.received_at,
        decided_at=classified.result.clock.at,
        thumbnail=classified.prepared.thumbnail,
        evidence=_evidence(classified),
        fingerprint=_fingerprint(classified),
    )


def _evidence(classified: ExposureResult) -> bytes | None:
    """Where the score came from; none for an exposure that has no flag."""
    drawn = classified.evidence
    return None if drawn is None else heatmap.jpeg(*drawn)


def _fingerprint(classified: ExposureResult) -> str:
    """SHA-256 in hex over the patient's identity, the gate's decision and the network input.

    Not over the file: the same exposure sent by C-STORE and by the folder differs in its file meta information.
    """
    # The decision on the file, not on what the network made of it: that may differ between two backends.
    image, decision = classified.prepared.image, classified.prepared.decision
    gate = (GateStatus.REJECTED, decision.reason) if isinstance(decision, Rejected) else (GateStatus.ACCEPTED, None)
    identity_json = json.dumps([*astuple(classified.prepared.identity), *gate])
    return hashlib.sha256(identity_json.encode() + (b"" if image is None else image.tobytes())).hexdigest()
