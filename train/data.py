"""Data: a manifest of films and their folder come in; films as arrays, parted by patient, go out.

Every fault of the manifest is found before training starts and named with its row and remedy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from train.films import Read, UnreadableFilm, read_films
from train.recipe import DataSection

LABELS = {"normal": 0, "pneumonia": 1}
PARTS = ("train", "operating", "test")
SHOWN_FAULTS = 20


class ManifestError(Exception):
    """The manifest or its films cannot be trained on; the words name rows and remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the manifest; `line` counts from 1 as an editor shows it, the header being 1."""

    line: int
    file: str
    label: str
    patient: str
    part: str

    @property
    def name(self) -> str:
        """For messages."""
        return f"line {self.line} ({self.file})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Films:
    """Films of one part: `images` uint8 (n, 224, 224), `labels` int64 (n,), and n cases, patients and digests."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    cases: tuple[str, ...]
    patients: tuple[str, ...]
    digests: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def digest(self) -> str:
        """SHA-256 over the films' own digests and labels, in order, hex."""
        lines = [f"{digest} {label}\n" for digest, label in zip(self.digests, self.labels, strict=True)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def counts(self) -> dict[str, int]:
        """Films by label, and patients."""
        by_label = {name: int((self.labels == value).sum()) for name, value in LABELS.items()}
        return {**by_label, "patients": len(set(self.patients))}


def load_films(
    manifest: Path, images: Path, section: DataSection, *, on_film: Callable[[int, int], None] = lambda *_: None
) -> dict[str, Films]:
    """The films of each part. `on_film(done, of)` is told of progress. Raises ManifestError with every fault found."""
    rows = read_rows(manifest, section)
    faults = [*label_faults(rows), *file_faults(rows, images), *class_faults(rows), *patient_faults(rows)]
    _raise_if(manifest, faults)
    read: dict[int, Read] = {}
    outcomes = read_films([images / row.file for row in rows])
    for done, (row, outcome) in enumerate(zip(rows, outcomes, strict=True), start=1):
        if isinstance(outcome, UnreadableFilm):
            faults.append(f"{row.name}: {outcome}; mend the file or delete the row")
        else:
            read[row.line] = outcome
        on_film(done, len(rows))
    _raise_if(manifest, faults)
    return {part: _stack([row for row in rows if row.part == part], read) for part in PARTS}


def read_rows(manifest: Path, section: DataSection) -> list[Row]:
    """The rows that play a part, in the manifest's order. Raises ManifestError for missing columns."""
    try:
        table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    except OSError as error:
        raise ManifestError(f"{manifest}: cannot be read ({error.strerror}); name a CSV file with --manifest") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ManifestError(f"{manifest}: not a CSV table ({error})") from None
    needed = ["file", "label", "patient_id", section.split_column, section.operating.column]
    if missing := [column for column in dict.fromkeys(needed) if column not in table.columns]:
        raise ManifestError(f"{manifest}: no column {', '.join(missing)}; add it, or change the recipe's data section")
    return list(_rows(table, section))


def _rows(table: pd.DataFrame, section: DataSection) -> Iterator[Row]:
    for number, record in enumerate(table.to_dict("records"), start=2):
        part = _part({str(name): str(value).strip() for name, value in record.items()}, section)
        if part is not None:
            yield Row(
                line=number,
                file=str(record["file"]).strip(),
                label=str(record["label"]).strip(),
                patient=str(record["patient_id"]).strip(),
                part=part,
            )


def _part(record: Mapping[str, str], section: DataSection) -> str | None:
    split = record[section.split_column]
    if split in section.train:
        return "train"
    if split in section.test:
        return "test"
    return "operating" if record[section.operating.column] in section.operating.among else None


def label_faults(rows: list[Row]) -> list[str]:
    """Rows whose label is neither."""
    expected = " or ".join(LABELS)
    return [f"{r.name}: label {r.label!r}, {expected} expected; correct it" for r in rows if r.label not in LABELS]


def file_faults(rows: list[Row], images: Path) -> list[str]:
    """Rows without their film."""
    remedy = f"is not under {images}; correct --images, or delete the row"
    return [f"{r.name}: the film {remedy}" for r in rows if not r.file or not (images / r.file).is_file()]


def class_faults(rows: list[Row]) -> list[str]:
    """Parts in which a class is missing."""
    found = {(row.part, row.label) for row in rows}
    remedy = "both classes are needed in each part; add rows, or change the recipe's data section"
    return [f"{part}: no {label} film; {remedy}" for part in PARTS for label in LABELS if (part, label) not in found]


def patient_faults(rows: list[Row]) -> list[str]:
    """Patients without a name, and patients in two parts."""
    blank = [
        f"{r.name}: no patient_id; give each patient one, so that parts can be kept apart"
        for r in rows
        if not r.patient
    ]
    by_patient: dict[str, list[Row]] = {}
    for row in rows:
        by_patient.setdefault(row.patient, []).append(row)
    return blank + [
        _two_parts(patient, theirs)
        for patient, theirs in by_patient.items()
        if patient and len({r.part for r in theirs}) > 1
    ]


def _two_parts(patient: str, theirs: list[Row]) -> str:
    parts, rows = " and ".join(sorted({row.part for row in theirs})), ", ".join(row.name for row in theirs[:4])
    return f"patient {patient} is in {parts}: {rows}; move all films of the patient to one part"


def _raise_if(manifest: Path, faults: list[str]) -> None:
    if faults:
        more = [f"  and {len(faults) - SHOWN_FAULTS} more"] if len(faults) > SHOWN_FAULTS else []
        lines = [f"  {fault}" for fault in faults[:SHOWN_FAULTS]]
        raise ManifestError("\n".join([f"{manifest}: {len(faults)} fault(s) to mend before training", *lines, *more]))


def _stack(rows: list[Row], read: Mapping[int, Read]) -> Films:
    return Films(
        images=np.stack([read[row.line][0] for row in rows]),
        labels=np.array([LABELS[row.label] for row in rows], np.int64),
        cases=tuple(row.file for row in rows),
        patients=tuple(row.patient for row in rows),
        digests=tuple(read[row.line][1] for row in rows),
    )
