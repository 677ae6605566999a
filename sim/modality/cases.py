"""Cases: a number of phantoms, or a folder of films, comes in; the list of exposures to be made goes out.

Everything about a case follows from the seed and the run's name, so a demonstration can be repeated exactly.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from sim.modality.dx import Ids
from sim.phantom import Finding

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
_NAMESPACE = uuid.UUID("5b0c6f6e-6f6e-4f5a-9d1c-706e65756d6f")


class Kind(StrEnum):
    """What was exposed. Only `CHEST` is for the network; the others are there for the gate."""

    CHEST = "chest"
    LATERAL = "lateral"
    MINOR = "minor"
    HAND = "hand"
    FOR_PROCESSING = "for_processing"


class Way(StrEnum):
    """How the film travels to the box."""

    C_STORE = "c-store"
    FOLDER_DICOM = "folder-dicom"
    FOLDER_JPEG = "folder-jpeg"
    FOLDER_PNG = "folder-png"
    FOLDER_AS_IS = "folder-as-is"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One exposure to be made.

    `seed` draws the phantom; `source` is a film of one's own instead. `label`: 1 pneumonia, 0 normal, None where nobody
    knows or it does not matter. `again`: sent a second time, as a modality does that missed the answer.
    """

    number: int
    kind: Kind
    way: Way
    seed: int
    finding: Finding = Finding.NORMAL
    label: int | None = None
    source: Path | None = None
    again: bool = False

    @property
    def case_id(self) -> str:
        """Its name in manifests and reports."""
        return f"case-{self.number:04d}"


class NoFilms(Exception):
    """The folder holds nothing to send; the words say what is expected there."""


def ids_of(case: Case, run: str) -> Ids:
    """Fictive identifiers; the same run and number give the same ones."""

    def uid(what: str) -> str:
        return f"2.25.{uuid.uuid5(_NAMESPACE, f'{run}/{case.number}/{what}').int}"

    short = uuid.uuid5(_NAMESPACE, run).hex[:4].upper()
    return Ids(
        patient_name=f"SIMULATED^CASE {case.number:04d}",
        patient_id=f"SIM-{short}-{case.number:04d}",
        accession=f"SIM{short}{case.number:04d}",
        study_uid=uid("study"),
        series_uid=uid("series"),
        sop_uid=uid("sop"),
    )


def phantom_cases(count: int, *, seed: int, odd: bool, files: bool) -> tuple[Case, ...]:
    """`count` chest films, half of them with consolidation, in mixed order, with odd exposures between them.

    `files`: some travel as files of a folder; else all go by C-STORE.
    """
    rng = np.random.default_rng([seed, 77])
    findings = [(Finding.NORMAL, Finding.LOBAR, Finding.NORMAL, Finding.PATCHY)[k % 4] for k in range(count)]
    order = rng.permutation(count)
    kinds = [(Kind.CHEST, findings[k]) for k in order]
    if odd:
        for place, kind in enumerate((Kind.LATERAL, Kind.MINOR, Kind.HAND, Kind.FOR_PROCESSING)):
            kinds.insert(min(len(kinds), 3 + place * max(2, count // 4)), (kind, Finding.NORMAL))
    cases, chests = [], 0
    for number, (kind, finding) in enumerate(kinds, start=1):
        chests += kind is Kind.CHEST
        way = _way(chests) if files and kind is Kind.CHEST else Way.C_STORE
        label = int(finding.is_pneumonia) if kind is Kind.CHEST else None
        cases.append(
            Case(
                number=number, kind=kind, way=way, seed=seed * 1000 + number, finding=finding, label=label,
                again=way is Way.C_STORE and number % 7 == 2,
            )
        )  # fmt: skip
    return tuple(cases)


def _way(chests: int) -> Way:
    """Every fourth film by the folder: a DICOM file, a JPEG or a PNG in turn."""
    if chests % 4:
        return Way.C_STORE
    return (Way.FOLDER_DICOM, Way.FOLDER_JPEG, Way.FOLDER_PNG)[chests // 4 % 3]


def film_cases(folder: Path, *, seed: int, limit: int | None = None) -> tuple[Case, ...]:
    """Films of one's own: JPEG and PNG become DX objects (every fourth stays a file), DICOM travels as it is.

    Labels come from the path: a folder or name with `normal` or `pneumonia` in it. Raises NoFilms.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    films = [path for path in paths if path.suffix.lower() not in {".csv", ".json", ".txt", ".md", ".html"}][:limit]
    if not films:
        raise NoFilms(f"{folder}: no film in it; put DICOM, JPEG or PNG files there")
    return tuple(
        Case(
            number=number, kind=Kind.CHEST, way=_own_way(path, number), seed=seed * 1000 + number,
            label=label_in(path.relative_to(folder)), source=path,
        )
        for number, path in enumerate(films, start=1)
    )  # fmt: skip


def _own_way(path: Path, number: int) -> Way:
    picture = path.suffix.lower() in PICTURE_SUFFIXES
    return Way.FOLDER_AS_IS if picture and number % 4 == 0 else Way.C_STORE


def label_in(path: Path) -> int | None:
    """What a path says of its film, nearest word first; None when it says nothing."""
    for part in reversed(path.parts):
        words = part.lower()
        if "pneumonia" in words:
            return 1
        if "normal" in words and "abnormal" not in words:
            return 0
    return None
