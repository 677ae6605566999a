"""Identifiers: the site key and a DICOM value come in; keyed hashes that may leave the box go out."""

from __future__ import annotations

import hashlib
import hmac
from enum import StrEnum
from pathlib import Path

from device.contract.json_codec import ContractError
from device.contract.messages import ID_HEX_DIGITS

SITE_KEY_BYTES = 32


class IdKind(StrEnum):
    """The type that is hashed together with an identifier, so that equal values of two types differ."""

    EXPOSURE = "exposure"
    STUDY = "study"
    PATIENT = "patient"
    ACCESSION = "accession"
    CONTENT = "content"


def load_site_key(path: Path) -> bytes:
    """The 32-byte key that a box and its collector share. Raises ContractError with the remedy."""
    remedy = f"make one with `pneumoflag-device site-key {path}` and copy it to the collector"
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="ascii").strip()
        key = bytes.fromhex(text)
    except OSError as error:
        raise ContractError(f"{path}: site key cannot be read ({error.strerror}); {remedy}") from None
    except ValueError:
        raise ContractError(f"{path}: site key is not hex text; {remedy}") from None
    if len(key) != SITE_KEY_BYTES:
        raise ContractError(f"{path}: site key of {len(key)} bytes, {SITE_KEY_BYTES} expected; {remedy}")
    if mode & 0o077:
        raise ContractError(f"{path}: site key is readable by others; run `chmod 600 {path}`")
    return key


def pseudonym(key: bytes, kind: IdKind, value: str | None) -> str | None:
    """Keyed identifier of a DICOM value, or null for a missing or blank one.

    HMAC-SHA256 (RFC 2104) with the site key over `kind`, a zero byte and the value without DICOM padding,
    cut to 128 bits, lower-case hex. Box and collector hold the same key, so both reach the same identifier.
    """
    text = (value or "").strip(" \0\t\r\n")
    if not text:
        return None
    message = f"{kind}\0{text}".encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:ID_HEX_DIGITS]


def content_id(key: bytes, content_sha256_hex: str) -> str:
    """Keyed identifier of a film without DICOM attributes: over the digest of its bytes."""
    found = pseudonym(key, IdKind.CONTENT, content_sha256_hex)
    if found is None:
        raise ContractError("content digest: hex text expected, got nothing")
    return found


def result_id(exposure_id: str, model_digest: str) -> str:
    """The same film judged by the same network has the same id: a resend is a no-op."""
    return hashlib.sha256(f"{exposure_id}{model_digest}".encode()).hexdigest()[:ID_HEX_DIGITS]
