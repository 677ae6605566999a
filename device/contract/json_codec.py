"""Wire: frozen values come in; JSON types go out, and back with every field checked. Standard library only."""

from __future__ import annotations

import functools
import json
import math
import types
import typing
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class ContractError(ValueError):
    """The text is not a message of the contract; the words name the field and what was expected."""


def iso_utc(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and a Z. Raises ContractError for a time without a zone."""
    if moment.tzinfo is None:
        raise ContractError("time: one with a zone expected")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(value: Any) -> Any:
    """JSON types from nested values: times become ISO 8601 text, enums their values, tuples lists."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, datetime):
        return iso_utc(value)
    return str(value) if isinstance(value, StrEnum) else value


def parse(text: str | bytes) -> Any:
    """JSON types from text, UTF-8 where it is bytes. Raises ContractError for all else, NaN and Infinity included."""
    try:
        # json.loads would guess UTF-16 and UTF-32 and let surrogates through.
        written = text if isinstance(text, str) else text.decode("utf-8")
        return json.loads(written, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ContractError(f"message: JSON expected ({type(error).__name__})") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def build(kind: type[Any], value: Any, where: str) -> Any:
    """A frozen value of `kind` from JSON types; `where` names it in errors.

    Raises ContractError naming the first field that does not fit. Unknown fields are refused: a newer schema has a
    newer number.
    """
    if not isinstance(value, dict):
        raise ContractError(f"{where}: an object expected, got {type(value).__name__}")
    hints = _hints(kind)  # type: ignore[arg-type]  # every class can be hashed
    names = list(hints)
    if unknown := sorted(set(value) - set(names)):
        raise ContractError(f"{where}.{unknown[0]}: no such field")
    if missing := [name for name in names if name not in value]:
        raise ContractError(f"{where}.{missing[0]}: missing")
    return kind(**{name: _convert(hints[name], value[name], f"{where}.{name}") for name in names})


@functools.cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    # Resolving the annotations of a result takes longer than all the rest of reading it.
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _convert(hint: Any, value: Any, where: str) -> Any:
    if isinstance(hint, types.UnionType):
        inner = next(arm for arm in typing.get_args(hint) if arm is not type(None))
        return None if value is None else _convert(inner, value, where)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ContractError(f"{where}: a list expected, got {type(value).__name__}")
        return tuple(_convert(typing.get_args(hint)[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if is_dataclass(hint):
        return build(typing.cast("type[Any]", hint), value, where)
    return _convert_scalar(hint, value, where)


def _convert_scalar(hint: Any, value: Any, where: str) -> Any:
    wanted: Any = {datetime: str, float: (int, float)}.get(hint, str if issubclass(hint, StrEnum) else hint)
    if not isinstance(value, wanted) or (isinstance(value, bool) and hint is not bool):
        raise ContractError(f"{where}: {hint.__name__} expected, got {type(value).__name__}")
    try:
        if hint is datetime:
            return _moment(value)
        if isinstance(value, str):
            value.encode()  # JSON can escape half a surrogate pair, which no UTF-8 holds
        converted = hint(value)
    except (ValueError, OverflowError):
        raise ContractError(f"{where}: not a valid {hint.__name__}") from None
    if hint is float and not math.isfinite(converted):
        raise ContractError(f"{where}: a finite number expected")
    return converted


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    moment.astimezone(UTC)  # raises OverflowError where UTC would be outside the years 1 to 9999
    return moment
