"""Manifest: what was sent comes in; a CSV file goes out, from which vendors, readers and the report are made."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One exposure that the receiver took. Identifiers are raw: this file belongs to the simulated hospital.

    `label` is the truth (1 pneumonia, 0 normal), None for odd exposures; `invented` says that nobody knows it and a
    coin was tossed. `answered_at` is when Success came, or when the file stood in the folder.
    """

    case_id: str
    kind: str
    way: str
    finding: str
    label: int | None
    invented: bool
    patient_id: str
    accession_number: str
    study_instance_uid: str
    sop_instance_uid: str
    content_sha256: str
    answered_at: datetime
    tries: int
    times_sent: int
    source: str

    @property
    def named_by(self) -> str:
        """What tells it from other films: its UID, or its content where it has none."""
        return self.sop_instance_uid or self.content_sha256


class Manifest:
    """The file being written: a row stands in it as soon as the film was taken."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow([field.name for field in fields(Sent)])

    def add(self, sent: Sent) -> None:
        """Append one row."""
        row = asdict(sent) | {
            "label": "" if sent.label is None else sent.label,
            "invented": int(sent.invented),
            "answered_at": sent.answered_at.isoformat(),
        }
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow(row.values())


class ManifestFault(Exception):
    """The file is no manifest; the words name the row."""


def read_manifest(path: Path) -> tuple[Sent, ...]:
    """Raises ManifestFault naming the file and the row, OSError when it cannot be read."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return tuple(_sent(row, f"{path}, row {number}") for number, row in enumerate(rows, start=2))


def _sent(row: dict[str, str], where: str) -> Sent:
    try:
        return Sent(
            case_id=row["case_id"],
            kind=row["kind"],
            way=row["way"],
            finding=row["finding"],
            label=int(row["label"]) if row["label"] else None,
            invented=row["invented"] == "1",
            patient_id=row["patient_id"],
            accession_number=row["accession_number"],
            study_instance_uid=row["study_instance_uid"],
            sop_instance_uid=row["sop_instance_uid"],
            content_sha256=row["content_sha256"],
            answered_at=datetime.fromisoformat(row["answered_at"]),
            tries=int(row["tries"]),
            times_sent=int(row["times_sent"]),
            source=row["source"],
        )
    except (KeyError, ValueError, TypeError) as error:
        raise ManifestFault(f"{where}: no manifest row ({error}); `pneumoflag-sim modality` writes them") from None
