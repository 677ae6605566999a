"""One exposure to its result, with a network that says what the test wants."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from device.contract import (
    Clock,
    Flag,
    GateStatus,
    IdentifierType,
    Model,
    Reason,
    Result,
    Runtime,
    Source,
    Thresholds,
    content_id,
    pseudonym,
    result_id,
)
from device.inference.classifier import ClassifyError, Scores
from device.intake.prepare import Prepared
from device.pipeline.exposure import (
    ExposureClassifier,
    ExposureResult,
    SiteIdentity,
    content_sha256,
)
from device.receive.spool import ReceivedExposure
from tests.support import dicom_files as dicom
from tests.support.dicom_files import make_dx
from tests.support.exposures import prepared

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY = bytes(range(32))


class Here:
    """Prepares in this process."""

    def prepare(self, path: Path, *, source_hint: Source = Source.FILE) -> Prepared:
        return prepared(path)


@dataclass
class Network:
    """Says `probability`, or fails."""

    probability: float | None = 0.9
    in_distribution: bool = True
    model = Model(name="fake", version=1, digest="ab" * 32, preprocess_version=1, quantization="none")
    runtime = Runtime(interpreter="fake", version="1", backend="cpu", fell_back=False)
    thresholds = Thresholds(flag_at=0.7, clear_below=0.3)

    def classify(self, image: np.ndarray) -> Scores:
        assert image.shape == (224, 224)
        if self.probability is None:
            raise ClassifyError("no number")
        return Scores(
            logit=1.0,
            score=0.73,
            probability=self.probability,
            evidence=None,
            infer_ms=2.0,
            distance=50.0,
            in_distribution=self.in_distribution,
        )


def classified(
    path: Path, network: Network | None = None, key: bytes | None = KEY, decided: datetime = NOON
) -> ExposureResult:
    identity = SiteIdentity(site="s", device="d", boot_id="b", key=key)
    clock = Clock(at=decided, trusted=True)
    classifier = ExposureClassifier(
        preparer=Here(), network=network or Network(), identity=identity, clock=lambda: clock
    )
    received_at = NOON - timedelta(seconds=2)
    return classifier.classify(
        ReceivedExposure(path=path, received_at=received_at, source=Source.DICOM, receive_ms=5.0)
    )


@pytest.fixture
def exposure(tmp_path: Path) -> Path:
    return make_dx(tmp_path / "exposure")


@pytest.mark.parametrize(("probability", "flag"), [(0.9, Flag.PNEUMONIA), (0.5, Flag.REVIEW), (0.1, Flag.CLEAR)])
def test_the_probability_becomes_the_flag(exposure, probability, flag):
    result = classified(exposure, Network(probability)).result
    assert (result.flag, result.probability, result.score, result.timing_ms.infer) == (flag, probability, 0.73, 2.0)
    assert result.gate.status is GateStatus.ACCEPTED
    assert (result.timing_ms.receive, result.timing_ms.total) == (5.0, 2000.0)
    assert result.seq == 0


def test_identifiers_are_keyed_and_nothing_else_of_the_patient_is_said(exposure):
    result = classified(exposure).result
    assert result.exposure_id == pseudonym(KEY, IdentifierType.EXPOSURE, dicom.SOP_UID)
    assert result.study_id == pseudonym(KEY, IdentifierType.STUDY, dicom.STUDY_UID)
    assert result.patient_id == pseudonym(KEY, IdentifierType.PATIENT, dicom.PATIENT_ID)
    assert result.accession_id == pseudonym(KEY, IdentifierType.ACCESSION, dicom.ACCESSION)
    assert result.result_id == result_id(result.exposure_id, Network.model.digest)
    for secret in ("Helen", dicom.PATIENT_ID, dicom.SOP_UID, dicom.STUDY_UID, dicom.BIRTH_DATE, dicom.ACCESSION):
        assert secret not in result.to_json()


def test_the_same_exposure_sent_again_has_the_same_result_id(exposure, tmp_path):
    again = make_dx(tmp_path / "again", Manufacturer="other header, same exposure")
    assert classified(exposure).result.result_id == classified(again).result.result_id
    assert classified(exposure, key=None).result.result_id != classified(again, key=None).result.result_id


def test_a_rejected_exposure_is_never_shown_to_the_network(tmp_path):
    result = classified(make_dx(tmp_path / "exposure", ViewPosition="LL"), Network(None)).result
    assert (result.flag, result.probability, result.gate.reason) == (Flag.UNCLASSIFIED, None, Reason.LATERAL_VIEW)
    assert (result.timing_ms.preprocess, result.timing_ms.infer) == (None, None)


def test_a_network_without_an_answer_leaves_the_exposure_unclassified(exposure):
    whole = classified(exposure, Network(None))
    assert (whole.result.flag, whole.result.gate.status) == (Flag.UNCLASSIFIED, GateStatus.ACCEPTED)
    assert whole.scores is None
    assert whole.prepared.thumbnail


def test_an_exposure_unlike_those_the_network_knows_is_rejected_with_its_caveats(tmp_path):
    exposure = make_dx(
        tmp_path / "exposure", ViewPosition=None, PatientAge=None, PatientBirthDate=None, SeriesDescription=None
    )
    caveats = classified(exposure).result.gate.caveats
    assert caveats
    whole = classified(exposure, Network(in_distribution=False))
    result = whole.result
    assert (result.flag, result.probability, result.score) == (Flag.UNCLASSIFIED, None, None)
    assert (result.gate.status, result.gate.reason) == (GateStatus.REJECTED, Reason.OUT_OF_DISTRIBUTION)
    assert result.gate.caveats == caveats
    assert result.timing_ms.infer == 2.0
    assert whole.prepared.thumbnail
    assert Result.from_json(result.to_json()) == result


def test_an_exposure_without_uid_is_known_by_its_content(tmp_path):
    exposure = tmp_path / "text"
    exposure.write_bytes(b"no exposure")
    assert classified(exposure).result.exposure_id == content_id(KEY, content_sha256(exposure))


def test_two_paths_that_cannot_be_read_are_two_exposures(tmp_path):
    os.mkfifo(tmp_path / "one")
    os.mkfifo(tmp_path / "two")
    assert classified(tmp_path / "one").result.result_id != classified(tmp_path / "two").result.result_id


def test_a_clock_set_back_makes_no_negative_time(exposure):
    assert classified(exposure, decided=NOON - timedelta(hours=1)).result.timing_ms.total == 0.0
