"""Contract: what a box says to a collector and what a collector answers. Standard library only.

In: values of the box or JSON text from the wire. Out: JSON text or checked, frozen values.
`contract.schema.json` beside this file describes the same objects for every other language.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import typing
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from device.wire import ContractError, build, iso_utc, parse, plain

__all__ = [
    "ID_HEX_DIGITS",
    "SCHEMA",
    "SITE_KEY_BYTES",
    "TOPIC_ROOT",
    "Caveat",
    "Clock",
    "ContractError",
    "Exposure",
    "Flag",
    "Gate",
    "GateStatus",
    "IdKind",
    "Model",
    "Reason",
    "Receipt",
    "Result",
    "Runtime",
    "Source",
    "Thresholds",
    "TimingMs",
    "Topics",
    "content_id",
    "iso_utc",
    "load_site_key",
    "pseudonym",
    "result_id",
]

SCHEMA = 1
TOPIC_ROOT = "pneumoflag/v1"
ID_HEX_DIGITS = 32
"""128 bits: collisions are out of reach and the identifier still fits a topic or a URL."""
_ID = re.compile(f"[0-9a-f]{{{ID_HEX_DIGITS}}}")
SITE_KEY_BYTES = 32


class Flag(StrEnum):
    """What the technologist sees."""

    PNEUMONIA = "pneumonia"
    REVIEW = "review"
    CLEAR = "clear"
    UNCLASSIFIED = "unclassified"


class GateStatus(StrEnum):
    """Whether the network was allowed to judge the film."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Reason(StrEnum):
    """Why the gate rejected a film. The list is part of the contract: adding one raises `SCHEMA`."""

    UNREADABLE = "unreadable"
    NOT_CHEST = "not_chest"
    LATERAL_VIEW = "lateral_view"
    UNKNOWN_VIEW = "unknown_view"
    MINOR = "minor"
    UNKNOWN_AGE = "unknown_age"
    WRONG_MODALITY = "wrong_modality"
    FOR_PROCESSING = "for_processing"
    NO_PIXELS = "no_pixels"
    UNSUPPORTED_TRANSFER_SYNTAX = "unsupported_transfer_syntax"
    TOO_LARGE = "too_large"
    OUT_OF_DISTRIBUTION = "out_of_distribution"


class Caveat(StrEnum):
    """What the film did not say, or said in an unusual way, though it was classified."""

    NOT_DICOM = "not_dicom"
    VIEW_MISSING = "view_missing"
    AGE_MISSING = "age_missing"
    BODY_PART_MISSING = "body_part_missing"
    WINDOW_MISSING = "window_missing"
    MULTI_FRAME = "multi_frame"
    PIXEL_DATA_LENGTH = "pixel_data_length"


class Source(StrEnum):
    """Whether the film came with DICOM attributes."""

    DICOM = "dicom"
    FILE = "file"


class IdKind(StrEnum):
    """The type that is hashed together with an identifier, so that equal values of two types differ."""

    EXPOSURE = "exposure"
    STUDY = "study"
    PATIENT = "patient"
    ACCESSION = "accession"
    CONTENT = "content"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """The film's own facts that may leave the box. Units: years, kV, mAs, pixels; `acquired_at` is UTC."""

    modality: str | None
    body_part: str | None
    view: str | None
    age_years: int | None
    sex: str | None
    kvp: float | None
    mas: float | None
    acquired_at: datetime | None
    rows: int | None
    columns: int | None
    transfer_syntax: str | None
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The gate's verdict. `reason` stands exactly when the film was rejected."""

    status: GateStatus
    reason: Reason | None = None
    caveats: tuple[Caveat, ...] = ()

    def __post_init__(self) -> None:
        if (self.status is GateStatus.REJECTED) != (self.reason is not None):
            raise ContractError("gate: a rejection has a reason and an acceptance has none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Operating points on the calibrated probability: from `flag_at` up pneumonia, below `clear_below` clear."""

    flag_at: float
    clear_below: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.clear_below <= self.flag_at <= 1.0:
            raise ContractError(
                f"thresholds: 0 <= clear_below <= flag_at <= 1 expected, got {self.clear_below} and {self.flag_at}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Which network judged. `digest` is the SHA-256 of the .tflite, in hex."""

    name: str
    version: int
    digest: str
    preprocess_version: int
    quantization: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What ran it. `fell_back` says that the wanted backend failed and the CPU took over."""

    interpreter: str
    version: str
    backend: str
    fell_back: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingMs:
    """Milliseconds. `total` runs from the film's last byte to the decision; a part that did not happen is null."""

    receive: float | None
    decode: float | None
    preprocess: float | None
    infer: float | None
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The box's wall time (UTC) at the decision, and whether NTP vouches for it."""

    at: datetime
    trusted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One judged film, as published. Identifiers are keyed hashes; see `pseudonym`."""

    schema: int = SCHEMA
    result_id: str
    site: str
    device: str
    boot_id: str
    seq: int
    exposure_id: str
    study_id: str | None
    patient_id: str | None
    accession_id: str | None
    exposure: Exposure
    gate: Gate
    flag: Flag
    probability: float | None
    score: float | None
    thresholds: Thresholds
    model: Model
    runtime: Runtime
    timing_ms: TimingMs
    clock: Clock

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ContractError(f"schema: {SCHEMA} expected, got {self.schema}")
        if not _ID.fullmatch(self.result_id):
            # A collector that took it could answer with no receipt for it.
            raise ContractError(f"result_id: {ID_HEX_DIGITS} lower-case hex digits expected")
        if self.gate.status is GateStatus.REJECTED and self.flag is not Flag.UNCLASSIFIED:
            raise ContractError("flag: a rejected film is unclassified")
        if (self.probability is None) != (self.flag is Flag.UNCLASSIFIED):
            raise ContractError("probability: stands exactly when the film was classified")

    def to_dict(self) -> dict[str, Any]:
        """The object as JSON types, times as ISO 8601 in UTC with a Z."""
        return typing.cast("dict[str, Any]", plain(asdict(self)))

    def to_json(self) -> str:
        """One line of JSON, without spaces."""
        return json.dumps(self.to_dict(), separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_dict(cls, value: Any) -> Self:
        """Raises ContractError naming the first field that does not fit."""
        return typing.cast("Self", build(cls, value, "result"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Raises ContractError for text that is not JSON or not a result."""
        return cls.from_dict(parse(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The collector's word that these results are committed; only now may the box forget them."""

    schema: int = SCHEMA
    result_ids: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ContractError(f"schema: {SCHEMA} expected, got {self.schema}")
        if not all(_ID.fullmatch(found) for found in self.result_ids):
            # The text is not quoted: it may be anything, lone surrogates included.
            raise ContractError(f"result_ids: {ID_HEX_DIGITS} lower-case hex digits each expected")

    def to_json(self) -> str:
        """One line of JSON, without spaces."""
        return json.dumps(plain(asdict(self)), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Raises ContractError for text that is not JSON or not a receipt."""
        return typing.cast("Self", build(cls, parse(text), "receipt"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """The topics of one box."""

    site: str
    device: str

    def __post_init__(self) -> None:
        for name, level in (("site", self.site), ("device", self.device)):
            if not level or any(c in level for c in "/+#\0"):
                raise ContractError(f"{name}: a topic level without / + # expected, got {level!r}")

    def _topic(self, leaf: str) -> str:
        return f"{TOPIC_ROOT}/{self.site}/{self.device}/{leaf}"

    @property
    def result(self) -> str:
        """Box to collector: one `Result`."""
        return self._topic("result")

    @property
    def status(self) -> str:
        """Box to everyone, retained: `online` or, as last will, `offline`."""
        return self._topic("status")

    @property
    def health(self) -> str:
        """Box to everyone, every minute."""
        return self._topic("health")

    @property
    def receipt(self) -> str:
        """Collector to box: one `Receipt`."""
        return self._topic("receipt")

    @property
    def model_desired(self) -> str:
        """Collector to box, retained: which bundle it should run."""
        return self._topic("model/desired")

    @property
    def model_reported(self) -> str:
        """Box to collector, retained: which bundle it runs."""
        return self._topic("model/reported")

    @classmethod
    def of(cls, topic: str) -> Self:
        """The box that a topic belongs to. Raises ContractError for a foreign topic."""
        parts = topic.split("/")
        if len(parts) < 5 or "/".join(parts[:2]) != TOPIC_ROOT:
            raise ContractError(f"topic: {TOPIC_ROOT}/<site>/<device>/… expected, got {topic!r}")
        return cls(site=parts[2], device=parts[3])


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
