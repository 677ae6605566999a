"""Identifiers: a record's raw DICOM identifiers come in; keyed ones go out, and the raw ones go nowhere else."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from collector.errors import ImportFault
from device.contract import ID_HEX_DIGITS, IdKind, content_id, pseudonym

RAW = {
    "sop_instance_uid": ("exposure_id", IdKind.EXPOSURE),
    "study_instance_uid": ("study_id", IdKind.STUDY),
    "accession_number": ("accession_id", IdKind.ACCESSION),
    "patient_id": ("patient_id", IdKind.PATIENT),
}
KEYED = ("exposure_id", "study_id", "accession_id")
FIELDS = (*RAW, "content_sha256", *KEYED)
_HEX = re.compile(r"[0-9a-f]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifiers:
    """Keyed identifiers of one film. At least one of the first three stands."""

    exposure_id: str | None = None
    study_id: str | None = None
    accession_id: str | None = None
    patient_id: str | None = None

    def to_row(self) -> dict[str, str | None]:
        """Columns of the store."""
        return asdict(self)

    def key(self, *parts: str) -> str:
        """One id for a record of `parts` about this film: the same record imported twice has the same."""
        text = "\0".join([*parts, self.exposure_id or "", self.study_id or "", self.accession_id or ""])
        return hashlib.sha256(text.encode()).hexdigest()[:ID_HEX_DIGITS]


def identify(record: Mapping[str, Any], key: bytes, where: str) -> Identifiers:
    """Keyed identifiers from a record under our field names. Raises ImportFault, which never holds the value."""
    found: dict[str, str] = {}
    for raw, (name, kind) in RAW.items():
        if (value := pseudonym(key, kind, _text(record.get(raw), raw, where))) is not None:
            found[name] = value
    if digest := _hex(record, "content_sha256", 64, where):
        _agree(found, "exposure_id", content_id(key, digest), where)
    for name in KEYED:
        if value := _hex(record, name, ID_HEX_DIGITS, where):
            _agree(found, name, value, where)
    if not set(KEYED) & set(found):
        raise ImportFault(f"{where}: no film is named; give one of {', '.join(n for n in FIELDS if n != 'patient_id')}")
    return Identifiers(**found)


def _agree(found: dict[str, str], name: str, value: str, where: str) -> None:
    if found.setdefault(name, value) != value:
        raise ImportFault(f"{where}: {name}: two identifiers of this record name different films")


def _hex(record: Mapping[str, Any], name: str, digits: int, where: str) -> str:
    value = _text(record.get(name), name, where).lower()
    if value and (len(value) != digits or not _HEX.fullmatch(value)):
        raise ImportFault(f"{where}: {name}: {digits} hex digits expected")
    return value


def _text(value: Any, name: str, where: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ImportFault(f"{where}: {name}: text expected, got {type(value).__name__}")
    return str(value).strip(" \0\t\r\n")
