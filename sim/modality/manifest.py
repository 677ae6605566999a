"""The manifest: a CSV file of the exposures sent, from which vendors' outputs, reads and the report are made."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path

from console.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class SentExposure:
    """One exposure that the receiver has accepted. Identifiers are raw: this file belongs to the simulated hospital.

    `label` is the truth (1 pneumonia, 0 normal), None for exposures that are only there to be rejected. `invented`:
    the truth is unknown and was drawn at random. `answered_at`: when Success came, or when the file was in the folder.
    """

    case_id: str
    case_type: str
    transport: str
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
    def identifier(self) -> str:
        """Its UID, or its content's digest where it has none."""
        return self.sop_instance_uid or self.content_sha256


class Manifest:
    """The file while it is written: an exposure has its row as soon as it was accepted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow([field.name for field in fields(SentExposure)])

    def add(self, sent: SentExposure) -> None:
        """Append one row."""
        row = asdict(sent) | {
            "label": "" if sent.label is None else sent.label,
            "invented": int(sent.invented),
            "answered_at": sent.answered_at.isoformat(),
        }
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow(row.values())


class ManifestError(UsageError):
    """The file is not a manifest; the message names the row."""


def read_manifest(path: Path) -> tuple[SentExposure, ...]:
    """Read a manifest. Raises ManifestError naming file and row, OSError when it cannot be read."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return tuple(_parse_row(row, f"{path}, row {number}") for number, row in enumerate(rows, start=2))


def _parse_row(row: dict[str, str], where: str) -> SentExposure:
    try:
        return SentExposure(
            case_id=row["case_id"],
            case_type=row["case_type"],
            transport=row["transport"],
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
        raise ManifestError(
            f"{where}: not a row of a manifest ({error}); `pneumoflag-sim modality` writes manifests"
        ) from None
