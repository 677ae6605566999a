"""Decode JSON text into checked, frozen messages, and encode messages as JSON text.

Fields, ranges and descriptions stand once, in the annotations of the message classes; pydantic enforces them here and
writes `contract.schema.json` from them.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import fields
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

from console.errors import UsageError

M = TypeVar("M", bound="Message")


class ContractError(ValueError, UsageError):
    """The text is not a message of the contract; the message names the field, what was expected and what came."""


def iso_utc(time: datetime) -> str:
    """Return `time` as ISO 8601 in UTC with milliseconds and a Z. Raises ContractError for a time without a zone."""
    if time.tzinfo is None:
        raise ContractError("time: expected one with a zone, got one without")
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time(value: Any) -> datetime:
    """A time without a zone is taken as UTC."""
    if not isinstance(value, str):
        raise PydanticCustomError("time_type", "datetime")
    try:
        time = datetime.fromisoformat(value)
        time = time if time.tzinfo else time.replace(tzinfo=UTC)
        time.astimezone(UTC)  # raises OverflowError where UTC would be outside the years 1 to 9999
    except (ValueError, OverflowError):
        raise PydanticCustomError("time_parsing", "an ISO 8601 time") from None
    return time


UtcTime = Annotated[
    datetime,
    BeforeValidator(_time),
    PlainSerializer(iso_utc, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
            "maxLength": 24,
        }
    ),
]
"""Written in UTC with milliseconds and a Z."""


def parse(text: str | bytes) -> Any:
    """Return the JSON types of a text, UTF-8 where it is bytes. Raises ContractError, for NaN and Infinity too."""
    try:
        # json.loads would guess UTF-16 and UTF-32 and let surrogates through.
        decoded = text if isinstance(text, str) else text.decode("utf-8")
        return json.loads(decoded, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ContractError(f"message: expected JSON, got other text ({type(error).__name__})") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


class Message:
    """Base of the frozen dataclasses that travel as JSON objects.

    Every field must be present in the JSON, also those with a default in Python, and unknown fields are refused: a
    newer schema has a newer number.
    """

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", ser_json_inf_nan="constants", json_schema_serialization_defaults_required=True
    )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check for absent fields before anything else."""
        return core_schema.no_info_before_validator_function(functools.partial(_check_presence, cls), handler(source))


def _check_presence(message_type: type[Any], value: Any) -> Any:
    if isinstance(value, dict):
        for field in fields(message_type):
            if field.name not in value:
                raise PydanticCustomError("missing_field", "missing", {"field": field.name})
    return value


def decode(message_type: type[M], value: Any, where: str) -> M:
    """Return a checked message from JSON types; `where` names it in errors.

    Raises ContractError naming the first field that does not fit.
    """
    try:
        message: M = adapter(message_type).validate_python(value)  # type: ignore[arg-type]  # every class can be hashed
    except ValidationError as error:
        raise ContractError(_refusal(where, error.errors(include_url=False)[0])) from None
    return message


def encode(message: Message) -> dict[str, Any]:
    """Return the JSON types of a message: times as ISO 8601, enums as their values, tuples as lists."""
    value: dict[str, Any] = adapter(type(message)).dump_python(message, mode="json")  # type: ignore[arg-type]
    return value


def to_json(message: Message) -> str:
    """Return one line of JSON without spaces. Raises ValueError for NaN and Infinity."""
    return json.dumps(encode(message), separators=(",", ":"), allow_nan=False)


@functools.cache
def adapter(message_type: type[Any]) -> TypeAdapter[Any]:
    """Return pydantic's reader and writer of a message class; building one takes milliseconds."""
    return TypeAdapter(message_type)


_EXPECTED = {
    "int_type": "int",
    "float_type": "float",
    "string_type": "str",
    "bool_type": "bool",
    "tuple_type": "list",
    "dataclass_type": "object",
    "finite_number": "a finite number",
    "string_unicode": "text without half a surrogate pair",
    "string_pattern_mismatch": "text of the form {pattern}",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "greater_than_equal": "{ge} or more",
    "less_than_equal": "{le} or less",
    "enum": "{expected}",
    "literal_error": "{expected}",
}


def _refusal(where: str, error: ErrorDetails) -> str:
    """Name the field, what was expected and what came; texts are never quoted, for one may name a patient."""
    context = error.get("ctx", {})
    name = where + "".join(f"[{part}]" if isinstance(part, int) else f".{_plain_name(part)}" for part in error["loc"])
    match error["type"]:
        case "missing_field":
            return f"{name}.{context['field']}: missing"
        case "unexpected_keyword_argument":
            return f"{name}: no such field"
        case "value_error":
            return f"{name}: {context['error']}"
    expected = _EXPECTED.get(error["type"], error["msg"]).format(**context)
    return f"{name}: expected {expected}, got {_received(error)}"


def _plain_name(name: str) -> str:
    return name if re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name) else "?"


def _received(error: ErrorDetails) -> str:
    value = error["input"]
    if isinstance(value, str):
        return f"str of {len(value)} characters"
    out_of_range = error["type"] in {"greater_than_equal", "less_than_equal"}
    return str(value)[:32] if out_of_range else type(value).__name__
