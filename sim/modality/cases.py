"""The list of exposures to make: a number of phantoms, or the files of a folder.

Everything about a case follows from the seed and the run's name, so a demonstration can be repeated exactly.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from console.errors import UsageError
from sim.modality.dx import Identifiers
from sim.phantom import Finding

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
_LIST_SUFFIXES = frozenset({".csv", ".json", ".txt", ".md", ".html"})
_NAMESPACE = uuid.UUID("5b0c6f6e-6f6e-4f5a-9d1c-706e65756d6f")


class CaseType(StrEnum):
    """What was exposed. Only `CHEST` is for the network; the gate must reject the others."""

    CHEST = "chest"
    LATERAL = "lateral"
    MINOR = "minor"
    HAND = "hand"
    FOR_PROCESSING = "for_processing"


class Transport(StrEnum):
    """How an image travels to the box."""

    C_STORE = "c-store"
    FOLDER_DICOM = "folder-dicom"
    FOLDER_JPEG = "folder-jpeg"
    FOLDER_PNG = "folder-png"
    FOLDER_AS_IS = "folder-as-is"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One exposure to make.

    `seed` draws the phantom; `source` is a file to send instead. `label`: 1 pneumonia, 0 normal, None where it is
    unknown or does not matter. `send_twice`: as a modality does when it has missed the answer.
    """

    number: int
    case_type: CaseType
    transport: Transport
    seed: int
    finding: Finding = Finding.NORMAL
    label: int | None = None
    source: Path | None = None
    send_twice: bool = False

    @property
    def case_id(self) -> str:
        """Its name in manifests and reports."""
        return f"case-{self.number:04d}"


class NoImages(UsageError):
    """The folder holds no image; the message says what is expected there."""


def identifiers_of(case: Case, run: str) -> Identifiers:
    """Return fictive identifiers; the same run and case number give the same ones."""

    def uid(level: str) -> str:
        return f"2.25.{uuid.uuid5(_NAMESPACE, f'{run}/{case.number}/{level}').int}"

    short = uuid.uuid5(_NAMESPACE, run).hex[:4].upper()
    return Identifiers(
        patient_name=f"SIMULATED^CASE {case.number:04d}",
        patient_id=f"SIM-{short}-{case.number:04d}",
        accession=f"SIM{short}{case.number:04d}",
        study_uid=uid("study"),
        series_uid=uid("series"),
        sop_uid=uid("sop"),
    )


def phantom_cases(count: int, *, seed: int, rejects: bool, files: bool) -> tuple[Case, ...]:
    """Return `count` chest exposures in random order, half of them with consolidation.

    `rejects`: exposures that the gate must reject are put between them. `files`: some travel as files of a folder;
    otherwise all are sent by C-STORE.
    """
    rng = np.random.default_rng([seed, 77])
    findings = [(Finding.NORMAL, Finding.LOBAR, Finding.NORMAL, Finding.PATCHY)[k % 4] for k in range(count)]
    contents = [(CaseType.CHEST, findings[k]) for k in rng.permutation(count)]
    if rejects:
        for k, case_type in enumerate((CaseType.LATERAL, CaseType.MINOR, CaseType.HAND, CaseType.FOR_PROCESSING)):
            contents.insert(min(len(contents), 3 + k * max(2, count // 4)), (case_type, Finding.NORMAL))
    cases, chests = [], 0
    for number, (case_type, finding) in enumerate(contents, start=1):
        is_chest = case_type is CaseType.CHEST
        chests += is_chest
        transport = Transport.C_STORE
        if files and is_chest and chests % 4 == 0:
            transport = (Transport.FOLDER_DICOM, Transport.FOLDER_JPEG, Transport.FOLDER_PNG)[chests // 4 % 3]
        cases.append(
            Case(
                number=number,
                case_type=case_type,
                transport=transport,
                seed=seed * 1000 + number,
                finding=finding,
                label=int(finding.is_pneumonia) if is_chest else None,
                send_twice=transport is Transport.C_STORE and number % 7 == 2,
            )
        )
    return tuple(cases)


def file_cases(folder: Path, *, seed: int, limit: int | None = None) -> tuple[Case, ...]:
    """Return a case for each file of a folder: JPEG and PNG become DX objects, except every fourth; DICOM stays as is.

    Labels come from the path: a folder or name with `normal` or `pneumonia` in it. Raises NoImages.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    images = [path for path in paths if path.suffix.lower() not in _LIST_SUFFIXES][:limit]
    if not images:
        raise NoImages(f"{folder}: contains no image; put DICOM, JPEG or PNG files there")
    cases = []
    for number, path in enumerate(images, start=1):
        stays_file = path.suffix.lower() in PICTURE_SUFFIXES and number % 4 == 0
        cases.append(
            Case(
                number=number,
                case_type=CaseType.CHEST,
                transport=Transport.FOLDER_AS_IS if stays_file else Transport.C_STORE,
                seed=seed * 1000 + number,
                label=label_in(path.relative_to(folder)),
                source=path,
            )
        )
    return tuple(cases)


def label_in(path: Path) -> int | None:
    """Return the label that a path contains, taken from the last part that has one; None without any."""
    for part in reversed(path.parts):
        name = part.lower()
        if "pneumonia" in name:
            return 1
        if "normal" in name and "abnormal" not in name:
            return 0
    return None
