"""Vendors: a manifest comes in; plausible outputs of two vendors' AI and three readers' reads go out, as files.

The shapes are those of docs/collector.md; the scores are drawn so that the calls have about the sensitivity and
specificity of the published comparison on 531 films (VUNO .94 and .71, Lunit .96 and .52). No vendor's software ran.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim.modality.manifest import Sent

LUNIT_FINDINGS = (
    "atelectasis", "calcification", "cardiomegaly", "consolidation", "fibrosis", "mediastinal widening", "nodule",
    "pleural effusion", "pneumoperitoneum", "pneumothorax",
)  # fmt: skip
VUNO_FINDINGS = ("nodule", "consolidation", "interstitial_opacity", "pleural_effusion", "pneumothorax")
READER_ERROR = {"R1": 0.02, "R2": 0.05, "R3": 0.09}
_IDENTIFIERS = ("accession_number", "study_instance_uid", "sop_instance_uid", "content_sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """How a vendor's AI calls: `at_least` is the score (0-1) from which it counts as a call."""

    sensitivity: float
    specificity: float
    at_least: float


VUNO = Habit(sensitivity=0.9367, specificity=0.7100, at_least=0.5)
LUNIT = Habit(sensitivity=0.9633, specificity=0.5238, at_least=0.15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """The files written."""

    lunit: Path
    vuno: Path
    reads: Path


def write_outputs(sent: Iterable[Sent], folder: Path, *, seed: int) -> Outputs:
    """`lunit.jsonl`, `vuno.csv` and `reads.csv` for every film that has a label."""
    # Two files may bear the same UID: to everyone behind the modality they are one film.
    films = list({film.named_by: film for film in sent if film.label is not None}.values())
    folder.mkdir(parents=True, exist_ok=True)
    files = Outputs(lunit=folder / "lunit.jsonl", vuno=folder / "vuno.csv", reads=folder / "reads.csv")
    _write_lunit(films, files.lunit, np.random.default_rng([seed, 21]))
    _write_vuno(films, files.vuno, np.random.default_rng([seed, 22]))
    _write_reads(films, files.reads, np.random.default_rng([seed, 23]))
    return files


def draw_score(label: int, habit: Habit, rng: np.random.Generator) -> float:
    """A score in 0..1 whose call is right as often as the habit says."""
    called = rng.random() < (habit.sensitivity if label else 1 - habit.specificity)
    if called:
        return float(habit.at_least + (1 - habit.at_least) * rng.beta(1.6 if label else 1.0, 1.4 if label else 3.0))
    return float(habit.at_least * 0.999 * rng.beta(1.2, 2.2))


def _ids(film: Sent) -> dict[str, str]:
    """What names the film; a DICOM film is not named by its content, for the box does not either."""
    named = {name: str(getattr(film, name)) for name in _IDENTIFIERS if getattr(film, name)}
    if film.sop_instance_uid:
        named.pop("content_sha256", None)
    return named


def _write_lunit(films: Sequence[Sent], path: Path, rng: np.random.Generator) -> None:
    with path.open("w", encoding="utf-8") as file:
        for film in films:
            scores = {name: 100 * 0.25 * float(rng.beta(0.7, 4)) for name in LUNIT_FINDINGS}
            scores["consolidation"] = 100 * draw_score(film.label or 0, LUNIT, rng)
            findings = [{"name": name, "score": round(score, 2)} for name, score in scores.items()]
            record = {"version": "3.1.5.0", "score_scale": "0-100", **_ids(film), "findings": findings}
            file.write(json.dumps(record) + "\n")


def _write_vuno(films: Sequence[Sent], path: Path, rng: np.random.Generator) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, ["version", "score_scale", *_IDENTIFIERS, *VUNO_FINDINGS])
        table.writeheader()
        for film in films:
            scores = {name: 0.4 * float(rng.beta(0.7, 4)) for name in VUNO_FINDINGS}
            leading = "consolidation" if rng.random() < 0.7 else "interstitial_opacity"
            scores[leading] = draw_score(film.label or 0, VUNO, rng)
            rounded = {name: round(score, 4) for name, score in scores.items()}
            table.writerow({"version": "1.1.0", "score_scale": "0-1", **_ids(film), **rounded})


def _write_reads(films: Sequence[Sent], path: Path, rng: np.random.Generator) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, ["reader", "label", *_IDENTIFIERS])
        table.writeheader()
        for film in films:
            for reader, error in READER_ERROR.items():
                label = (film.label or 0) ^ int(rng.random() < error)
                table.writerow({"reader": reader, "label": label, **_ids(film)})
