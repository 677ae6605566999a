"""Identifiers that may leave the box: keyed hashes of DICOM values, made with the site key."""

from __future__ import annotations

import hashlib
import hmac
from enum import StrEnum
from pathlib import Path

from device.contract.json_codec import ContractError
from device.contract.messages import ID_HEX_DIGITS

SITE_KEY_BYTES = 32


class IdentifierType(StrEnum):
    """The type that is hashed together with an identifier, so that equal values of two types differ."""

    EXPOSURE = "exposure"
    STUDY = "study"
    PATIENT = "patient"
    ACCESSION = "accession"
    CONTENT = "content"


def load_site_key(path: Path) -> bytes:
    """Read the 32-byte key that a box and its collector share. Raises ContractError with the remedy."""
    remedy = f"make one with `pneumoflag-device site-key {path}` and copy it to the collector"
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="ascii").strip()
        key = bytes.fromhex(text)
    except OSError as error:
        raise ContractError(f"{path}: site key cannot be read ({error.strerror}); {remedy}") from None
    except ValueError:
        raise ContractError(f"{path}: site key is not hex text; {remedy}") from None
    if len(key) != SITE_KEY_BYTES:
        raise ContractError(f"{path}: site key: expected {SITE_KEY_BYTES} bytes, got {len(key)}; {remedy}")
    if mode & 0o077:
        raise ContractError(f"{path}: site key is readable by others; run `chmod 600 {path}`")
    return key


def pseudonym(key: bytes, identifier_type: IdentifierType, value: str | None) -> str | None:
    """Return the keyed identifier of a DICOM value, or None for a missing or blank one.

    HMAC-SHA256 (RFC 2104) with the site key over the type, a zero byte and the value without DICOM padding,
    cut to 128 bits, lower-case hex. Box and collector hold the same key, so both reach the same identifier.
    """
    text = (value or "").strip(" \0\t\r\n")
    if not text:
        return None
    message = f"{identifier_type}\0{text}".encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:ID_HEX_DIGITS]


def content_id(key: bytes, content_sha256_hex: str) -> str:
    """Return the keyed identifier of an image without DICOM attributes, over the digest of its bytes."""
    identifier = pseudonym(key, IdentifierType.CONTENT, content_sha256_hex)
    if identifier is None:
        raise ContractError("content digest: expected hex text, got nothing")
    return identifier


def result_id(exposure_id: str, model_digest: str) -> str:
    """Return the id of a result: the same image and model give the same id, so a resend changes nothing."""
    return hashlib.sha256(f"{exposure_id}{model_digest}".encode()).hexdigest()[:ID_HEX_DIGITS]
