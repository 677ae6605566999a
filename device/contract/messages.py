"""The messages: what a box publishes and what the collector answers.

These classes are the one definition of the contract: the JSON codec, the range checks and `contract.schema.json` all
come from their annotations.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from pydantic import ConfigDict, Field, Strict, StrictBool, WithJsonSchema

from device.contract.json_codec import (
    ContractError,
    Message,
    UtcTime,
    decode,
    encode,
    parse,
    to_json,
)
from device.contract.vocabulary import Caveat, Flag, GateStatus, Reason, Source

SCHEMA = 1
ID_HEX_DIGITS = 32
"""128 bits: collisions are out of reach and the identifier still fits a topic or a URL."""
ID_PATTERN = f"^[0-9a-f]{{{ID_HEX_DIGITS}}}$"

SchemaNumber = Annotated[
    int,
    Strict(),
    WithJsonSchema({"const": SCHEMA, "description": "Number of this contract. A further field or term raises it."}),
]
Identifier = Annotated[str, Strict(), Field(pattern=ID_PATTERN, max_length=ID_HEX_DIGITS)]
Sha256 = Annotated[str, Strict(), Field(pattern="^[0-9a-f]{64}$", max_length=64)]
TopicLevel = Annotated[str, Strict(), Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
Text = Annotated[str, Strict()]
Name = Annotated[str, Strict(), Field(pattern=r"^[^\x00]+$", max_length=256)]
Whole = Annotated[int, Strict(), Field(ge=0)]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Fraction = Annotated[float, Strict(), Field(ge=0, le=1, allow_inf_nan=False)]
Milliseconds = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure(Message):
    """What may leave the box about the exposure itself. Units: years, kV, mAs, pixels."""

    modality: Annotated[Text | None, Field(description="DICOM Modality, such as DX or CR.")]
    body_part: Annotated[Text | None, Field(description="DICOM Body Part Examined.")]
    view: Annotated[Text | None, Field(description="DICOM View Position, such as PA or AP.")]
    age_years: Annotated[
        Annotated[int, Strict(), Field(ge=0, le=150)] | None, Field(description="Whole years at the exposure.")
    ]
    sex: Annotated[Text | None, Field(description="DICOM Patient's Sex.")]
    kvp: Annotated[Number | None, Field(description="Tube voltage, kV.")]
    mas: Annotated[Number | None, Field(description="Tube current times time, mAs.")]
    acquired_at: Annotated[UtcTime | None, Field(description="When the exposure was taken, UTC.")]
    rows: Annotated[Whole | None, Field(description="Pixels.")]
    columns: Annotated[Whole | None, Field(description="Pixels.")]
    transfer_syntax: Annotated[Text | None, Field(description="DICOM transfer syntax UID.")]
    source: Annotated[Source, Field(description="Whether the image came as DICOM or as another file.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate(Message):
    """Whether the exposure was passed to the network. `reason` is given exactly when it was rejected."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        **Message.__pydantic_config__,
        json_schema_extra={
            "if": {"properties": {"status": {"const": "rejected"}}},
            "then": {"properties": {"reason": {"type": "string"}}},
            "else": {"properties": {"reason": {"type": "null"}}},
        },
    )

    status: GateStatus
    reason: Annotated[Reason | None, Field(description="Given exactly when rejected.")] = None
    caveats: Annotated[
        tuple[Caveat, ...], Field(description="What the image file did not state, or stated in an unusual way.")
    ] = ()

    def __post_init__(self) -> None:
        if (self.status is GateStatus.REJECTED) != (self.reason is not None):
            raise ContractError("expected a reason exactly when rejected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds(Message):
    """Operating points on the calibrated probability, in force at the decision.

    `flag_at` and above is pneumonia, below `clear_below` is clear, review between. `clear_below` is never above
    `flag_at`, which JSON Schema cannot say.
    """

    flag_at: Fraction
    clear_below: Fraction

    def __post_init__(self) -> None:
        if not 0.0 <= self.clear_below <= self.flag_at <= 1.0:
            raise ContractError(
                f"thresholds: expected 0 <= clear_below <= flag_at <= 1, got {self.clear_below} and {self.flag_at}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Message):
    """Which network classified, or would have."""

    name: Name
    version: Annotated[Whole, Field(description="Rises with each release of this name.")]
    digest: Annotated[Sha256, Field(description="SHA-256 of the .tflite file.")]
    preprocess_version: Annotated[int, Strict(), Field(ge=1)]
    quantization: Annotated[Name, Field(description="Such as int8.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime(Message):
    """What ran the network."""

    interpreter: Name
    version: Name
    backend: Annotated[Name, Field(description="Such as cpu or edgetpu.")]
    fell_back: Annotated[StrictBool, Field(description="The configured backend failed and the CPU took over.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingMs(Message):
    """Milliseconds; a step that did not happen is null."""

    receive: Milliseconds | None
    decode: Milliseconds | None
    preprocess: Milliseconds | None
    infer: Milliseconds | None
    total: Annotated[Milliseconds, Field(description="From the last byte of the image to the decision.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock(Message):
    """The box's clock at the decision."""

    at: UtcTime
    trusted: Annotated[StrictBool, Field(description="Whether it is synchronized by NTP.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Message):
    """The result of one exposure, classified or rejected. Identifiers are keyed hashes; see `pseudonym`."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        **Message.__pydantic_config__,
        json_schema_extra={
            "allOf": [
                {
                    "$comment": "A rejected exposure is unclassified.",
                    "if": {"properties": {"gate": {"properties": {"status": {"const": "rejected"}}}}},
                    "then": {"properties": {"flag": {"const": "unclassified"}}},
                },
                {
                    "$comment": "There is no probability exactly when the exposure is unclassified.",
                    "if": {"properties": {"flag": {"const": "unclassified"}}},
                    "then": {"properties": {"probability": {"type": "null"}}},
                    "else": {"properties": {"probability": {"type": "number"}}},
                },
            ]
        },
    )

    schema: SchemaNumber = SCHEMA
    result_id: Annotated[
        Identifier,
        Field(
            description="First 32 hex digits of SHA-256 over exposure_id and model.digest: the same image and model "
            "give the same id."
        ),
    ]
    site: Annotated[TopicLevel, Field(description="The hospital, as in the topic.")]
    device: Annotated[TopicLevel, Field(description="The box, as in the topic.")]
    boot_id: Annotated[str, Strict(), Field(pattern=r"^[^\x00]+$", max_length=64, description="One start of the box.")]
    seq: Annotated[
        Whole,
        Field(
            description="Rises by one with each result that a box puts in its outbox, from 1, and never restarts. "
            "0: classified offline, never published."
        ),
    ]
    exposure_id: Annotated[
        Identifier, Field(description="Keyed hash of the SOP Instance UID; without one, of the file's content.")
    ]
    study_id: Annotated[Identifier | None, Field(description="Keyed hash of the Study Instance UID.")]
    patient_id: Annotated[Identifier | None, Field(description="Keyed hash of the Patient ID.")]
    accession_id: Annotated[Identifier | None, Field(description="Keyed hash of the Accession Number.")]
    exposure: Exposure
    gate: Gate
    flag: Annotated[Flag, Field(description="What the technologist saw.")]
    probability: Annotated[
        Fraction | None, Field(description="Calibrated probability of pneumonia; null exactly when unclassified.")
    ]
    score: Annotated[Fraction | None, Field(description="Sigmoid of the network's logit, before calibration.")]
    thresholds: Thresholds
    model: Model
    runtime: Runtime
    timing_ms: TimingMs
    clock: Clock

    def __post_init__(self) -> None:
        _check_schema(self.schema)
        # A collector that took another id could not name it in a receipt.
        _check_identifier("result_id", self.result_id)
        if self.gate.status is GateStatus.REJECTED and self.flag is not Flag.UNCLASSIFIED:
            raise ContractError("flag: expected unclassified for a rejected exposure")
        if (self.probability is None) != (self.flag is Flag.UNCLASSIFIED):
            raise ContractError("probability: expected exactly when the exposure was classified")

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON types, times as ISO 8601 in UTC with a Z."""
        return encode(self)

    def to_json(self) -> str:
        """Return one line of JSON, without spaces."""
        return to_json(self)

    @classmethod
    def from_dict(cls, value: Any) -> Self:
        """Return the result in JSON types. Raises ContractError naming the first field that does not fit."""
        return decode(cls, value, "result")

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the result in a text. Raises ContractError for text that is not JSON or not a result."""
        return cls.from_dict(parse(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(Message):
    """The collector's confirmation that these results are committed; only now may the box forget them."""

    schema: SchemaNumber = SCHEMA
    result_ids: tuple[Identifier, ...]

    def __post_init__(self) -> None:
        _check_schema(self.schema)
        for result_id in self.result_ids:
            _check_identifier("result_ids", result_id)

    def to_json(self) -> str:
        """Return one line of JSON, without spaces."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the receipt in a text. Raises ContractError for text that is not JSON or not a receipt."""
        return decode(cls, parse(text), "receipt")


def _check_schema(schema: int) -> None:
    if schema != SCHEMA:
        raise ContractError(f"schema: expected {SCHEMA}, got {schema}")


def _check_identifier(name: str, value: str) -> None:
    if not re.fullmatch(ID_PATTERN.strip("^$"), value):
        raise ContractError(f"{name}: expected {ID_HEX_DIGITS} lower-case hex digits")


def decide(probability: float, thresholds: Thresholds) -> Flag:
    """Return pneumonia from `flag_at` up, clear below `clear_below`, and review between them.

    Raises ValueError for anything but a number from 0 to 1: a broken score must never look like a clear exposure.
    """
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"probability: expected 0 to 1, got {probability}")
    if probability >= thresholds.flag_at:
        return Flag.PNEUMONIA
    return Flag.CLEAR if probability < thresholds.clear_below else Flag.REVIEW
