"""Simulated outputs of two vendors' AI and reads of three readers, as the files that a hospital would import.

The formats are those of docs/collector.md. Scores are drawn so that the calls have about the sensitivity and
specificity of the published comparison on 531 chest X-rays: VUNO .94 and .71, Lunit .96 and .52. No vendor's software
is involved.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim.modality.manifest import SentExposure

LUNIT_FINDINGS = (
    "atelectasis",
    "calcification",
    "cardiomegaly",
    "consolidation",
    "fibrosis",
    "mediastinal widening",
    "nodule",
    "pleural effusion",
    "pneumoperitoneum",
    "pneumothorax",
)
VUNO_FINDINGS = ("nodule", "consolidation", "interstitial_opacity", "pleural_effusion", "pneumothorax")
READER_ERROR = {"R1": 0.02, "R2": 0.05, "R3": 0.09}
_IDENTIFIERS = ("accession_number", "study_instance_uid", "sop_instance_uid", "content_sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorAccuracy:
    """How often a vendor's AI is right; scores of `threshold` (0 to 1) and above count as positive."""

    sensitivity: float
    specificity: float
    threshold: float


VUNO = VendorAccuracy(sensitivity=0.9367, specificity=0.7100, threshold=0.5)
LUNIT = VendorAccuracy(sensitivity=0.9633, specificity=0.5238, threshold=0.15)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFiles:
    """The files written."""

    lunit: Path
    vuno: Path
    reads: Path


def write_outputs(sent: Iterable[SentExposure], folder: Path, *, seed: int) -> OutputFiles:
    """Write `lunit.jsonl`, `vuno.csv` and `reads.csv` for every exposure that has a label."""
    # Two files may carry the same UID: to everyone behind the modality they are one exposure.
    exposures = list({exposure.identifier: exposure for exposure in sent if exposure.label is not None}.values())
    folder.mkdir(parents=True, exist_ok=True)
    files = OutputFiles(lunit=folder / "lunit.jsonl", vuno=folder / "vuno.csv", reads=folder / "reads.csv")
    _write_lunit(exposures, files.lunit, np.random.default_rng([seed, 21]))
    _write_vuno(exposures, files.vuno, np.random.default_rng([seed, 22]))
    _write_reads(exposures, files.reads, np.random.default_rng([seed, 23]))
    return files


def draw_score(label: int, accuracy: VendorAccuracy, rng: np.random.Generator) -> float:
    """Draw a score, 0 to 1, that is on the right side of the threshold as often as `accuracy` says."""
    threshold = accuracy.threshold
    positive = rng.random() < (accuracy.sensitivity if label else 1 - accuracy.specificity)
    if positive:
        return float(threshold + (1 - threshold) * rng.beta(1.6 if label else 1.0, 1.4 if label else 3.0))
    return float(threshold * 0.999 * rng.beta(1.2, 2.2))


def _identifiers(exposure: SentExposure) -> dict[str, str]:
    """Return what identifies the exposure: a DICOM file by its UIDs only, as on the box, other files by content."""
    identifiers = {name: str(getattr(exposure, name)) for name in _IDENTIFIERS if getattr(exposure, name)}
    if exposure.sop_instance_uid:
        identifiers.pop("content_sha256", None)
    return identifiers


def _write_lunit(exposures: Sequence[SentExposure], path: Path, rng: np.random.Generator) -> None:
    with path.open("w", encoding="utf-8") as file:
        for exposure in exposures:
            scores = {name: 100 * 0.25 * float(rng.beta(0.7, 4)) for name in LUNIT_FINDINGS}
            scores["consolidation"] = 100 * draw_score(exposure.label or 0, LUNIT, rng)
            findings = [{"name": name, "score": round(score, 2)} for name, score in scores.items()]
            record = {"version": "3.1.5.0", "score_scale": "0-100", **_identifiers(exposure), "findings": findings}
            file.write(json.dumps(record) + "\n")


def _write_vuno(exposures: Sequence[SentExposure], path: Path, rng: np.random.Generator) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, ["version", "score_scale", *_IDENTIFIERS, *VUNO_FINDINGS])
        table.writeheader()
        for exposure in exposures:
            scores = {name: 0.4 * float(rng.beta(0.7, 4)) for name in VUNO_FINDINGS}
            leading = "consolidation" if rng.random() < 0.7 else "interstitial_opacity"
            scores[leading] = draw_score(exposure.label or 0, VUNO, rng)
            rounded = {name: round(score, 4) for name, score in scores.items()}
            table.writerow({"version": "1.1.0", "score_scale": "0-1", **_identifiers(exposure), **rounded})


def _write_reads(exposures: Sequence[SentExposure], path: Path, rng: np.random.Generator) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, ["reader", "label", *_IDENTIFIERS])
        table.writeheader()
        for exposure in exposures:
            for reader, error in READER_ERROR.items():
                label = (exposure.label or 0) ^ int(rng.random() < error)
                table.writerow({"reader": reader, "label": label, **_identifiers(exposure)})
