"""Identifiers: a record's raw DICOM identifiers come in; keyed ones go out, and the raw ones go nowhere else."""

from __future__ import annotations

import re
from collections.abc import Mapping

from collector.imports.files import ImportFault
from collector.store.rows import Identifiers
from device.contract import ID_HEX_DIGITS, IdentifierType, content_id, pseudonym

RAW_FIELDS = {
    "sop_instance_uid": ("exposure_id", IdentifierType.EXPOSURE),
    "study_instance_uid": ("study_id", IdentifierType.STUDY),
    "accession_number": ("accession_id", IdentifierType.ACCESSION),
    "patient_id": ("patient_id", IdentifierType.PATIENT),
}
KEYED_FIELDS = ("exposure_id", "study_id", "accession_id")
FIELDS = (*RAW_FIELDS, "content_sha256", *KEYED_FIELDS)


def keyed_identifiers(record: Mapping[str, object], key: bytes, where: str) -> Identifiers:
    """Return the keyed identifiers of a record under our field names.

    Raises ImportFault, which never holds a value: without an identifier, or when two of them name different exposures.
    """
    keyed: dict[str, str] = {}
    for raw_field, (name, id_type) in RAW_FIELDS.items():
        if (identifier := pseudonym(key, id_type, _text(record.get(raw_field), raw_field, where))) is not None:
            keyed[name] = identifier
    given = [(name, _hex(record, name, ID_HEX_DIGITS, where)) for name in KEYED_FIELDS]
    if digest := _hex(record, "content_sha256", 64, where):
        given.insert(0, ("exposure_id", content_id(key, digest)))
    for name, identifier in given:
        if identifier and keyed.setdefault(name, identifier) != identifier:
            raise ImportFault(f"{where}: {name}: two identifiers of this record name different exposures")
    if not set(KEYED_FIELDS) & set(keyed):
        names = ", ".join(name for name in FIELDS if name != "patient_id")
        raise ImportFault(f"{where}: no exposure is named; give one of {names}")
    return Identifiers(**keyed)


def _hex(record: Mapping[str, object], name: str, digits: int, where: str) -> str:
    value = _text(record.get(name), name, where).lower()
    if value and not re.fullmatch(f"[0-9a-f]{{{digits}}}", value):
        raise ImportFault(f"{where}: {name}: expected {digits} hex digits")
    return value


def _text(value: object, name: str, where: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ImportFault(f"{where}: {name}: expected text, got {type(value).__name__}")
    return str(value).strip(" \0\t\r\n")
