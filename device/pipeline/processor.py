"""Turn a spooled exposure into its result and its entry on the board."""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, replace
from pathlib import Path

from device.contract import GateStatus, Reason, Source
from device.delivery.flag_history import BoardEntry
from device.inference import heatmap
from device.intake.gate import Rejected
from device.intake.prepare import Prepared
from device.pipeline.exposure import ExposureClassifier, ExposureResult
from device.pipeline.loop import ProcessedExposure
from device.receive.spool import SpooledExposure


class ExposureProcessor:
    """The pipeline's processor: the same classifier as the offline command's, and what the board shows."""

    def __init__(self, classifier: ExposureClassifier) -> None:
        self._classifier = classifier
        self._unopened = replace(classifier, preparer=_Unopened())

    def process(self, exposure: SpooledExposure) -> ProcessedExposure:
        """Decode, gate, classify, decide."""
        return _processed(self._classifier.classify(exposure), exposure)

    def give_up(self, exposure: SpooledExposure) -> ProcessedExposure:
        """Return the rejection `unreadable`, identified by the file's digest alone."""
        return _processed(self._unopened.classify(exposure), exposure)


class _Unopened:
    """Prepares nothing, for an exposure that has crashed the box each time it was opened."""

    def prepare(self, path: Path, *, source_hint: Source = Source.FILE) -> Prepared:  # noqa: ARG002 - never opened
        return Prepared.unread(source_hint, Reason.UNREADABLE)


def _processed(classified: ExposureResult, exposure: SpooledExposure) -> ProcessedExposure:
    identity, evidence = classified.prepared.identity, classified.evidence
    entry = BoardEntry(
        result=classified.result.to_dict(),
        patient_name=identity.patient_name,
        patient_id=identity.patient_id,
        accession=identity.accession,
        acquired_at=classified.result.exposure.acquired_at,
        received_at=exposure.received_at,
        decided_at=classified.result.clock.at,
        thumbnail=classified.prepared.thumbnail,
        evidence=None if evidence is None else heatmap.jpeg(*evidence),
        fingerprint=_fingerprint(classified),
    )
    return ProcessedExposure(result=classified.result, entry=entry)


def _fingerprint(classified: ExposureResult) -> str:
    """Return SHA-256 in hex over the patient's identity, the gate's decision and the network's input.

    Not over the file: the same exposure sent by C-STORE and by the folder differs in its file meta information.
    """
    # The decision on the file, not on what the network made of it: that may differ between two backends.
    image, decision = classified.prepared.image, classified.prepared.decision
    gate = (GateStatus.REJECTED, decision.reason) if isinstance(decision, Rejected) else (GateStatus.ACCEPTED, None)
    identity_json = json.dumps([*astuple(classified.prepared.identity), *gate])
    return hashlib.sha256(identity_json.encode() + (b"" if image is None else image.tobytes())).hexdigest()
