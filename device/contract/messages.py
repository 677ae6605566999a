"""Contract: what a box says to a collector and what a collector answers. Standard library only.

In: values of the box or JSON text from the wire. Out: JSON text or checked, frozen values.
`contract.schema.json` beside this file describes the same objects for every other language.
"""

from __future__ import annotations

import json
import re
import typing
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from device.contract.identifiers import ID_HEX_DIGITS
from device.contract.json_codec import (
    ContractError,
    build,
    parse,
    plain,
)

SCHEMA = 1
_ID = re.compile(f"[0-9a-f]{{{ID_HEX_DIGITS}}}")


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


def decide(probability: float, thresholds: Thresholds) -> Flag:
    """`flag_at` and above is pneumonia, below `clear_below` is clear, between them a person looks.

    Raises ValueError for anything but a number from 0 to 1: a broken score must never look like a clear film.
    """
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"probability: 0 to 1 expected, got {probability}")
    if probability >= thresholds.flag_at:
        return Flag.PNEUMONIA
    return Flag.CLEAR if probability < thresholds.clear_below else Flag.REVIEW
