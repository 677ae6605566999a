"""Attributes: a DICOM header that may be broken comes in; values of a known type go out, or nothing."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue

from device.dicom import charset

FAULTS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""All the ways in which pydicom and the codecs answer bytes that break the standard. MemoryError is not one of them."""
MAX_TEXT = 256
MAX_ITEMS = 16


def raw(header: Dataset, keyword: str) -> Any:
    """The value, of any type, or None. A value that breaks its type is given as the texts that stand there."""
    try:
        return header.get(keyword)
    except FAULTS:
        return _raw_texts(header, keyword)


def _raw_texts(header: Dataset, keyword: str) -> list[str] | None:
    try:
        value = getattr(header.get_item(keyword), "value", None)
    except FAULTS:
        return None
    return value.decode("latin-1").split("\\") if isinstance(value, bytes) else None


def texts(header: Dataset, keyword: str) -> list[str]:
    """The values as text, without padding and control characters."""
    value = raw(header, keyword)
    if value is None:
        return []
    values = value if isinstance(value, (MultiValue, list, tuple)) else [value]
    declared = "" if keyword == "SpecificCharacterSet" else text(header, "SpecificCharacterSet")
    try:
        return [_clean(one, declared) for one in list(values)[:MAX_ITEMS]]
    except FAULTS:
        return []


def text(header: Dataset, keyword: str) -> str:
    """All values as one text; empty when missing."""
    return " ".join(texts(header, keyword)).strip()[:MAX_TEXT]


def _clean(value: Any, declared: str) -> str:
    clean = charset.redecoded(value.decode("latin-1") if isinstance(value, bytes) else str(value), declared)
    # Half a surrogate pair cannot be written as UTF-8.
    clean = clean[:MAX_TEXT].encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c.isprintable() else " " for c in clean).strip()


def numbers(header: Dataset, keyword: str) -> list[float | None]:
    """The values as finite numbers, with a decimal comma too; None for one that is none."""
    value = raw(header, keyword)
    values = value if isinstance(value, (MultiValue, list, tuple)) else [value]
    return [_finite(one) for one in list(values)[:MAX_ITEMS]]


def _finite(value: Any) -> float | None:
    try:
        number = float(value.strip(" \0").replace(",", ".") if isinstance(value, str) else value)
    except FAULTS:
        return None
    return number if math.isfinite(number) else None


def is_unclear(header: Dataset, keyword: str) -> bool:
    """Whether something stands there and is no number."""
    return bool(text(header, keyword)) and number(header, keyword) is None


def number(header: Dataset, keyword: str) -> float | None:
    """The first value, when it is a finite number."""
    return next(iter(numbers(header, keyword)), None)


def integer(header: Dataset, keyword: str) -> int | None:
    """The first value, when it is a whole number."""
    value = number(header, keyword)
    return int(value) if value is not None and value == int(value) else None


def words16(header: Dataset, keyword: str, *, little_endian: bool, signed: bool = False) -> list[int]:
    """16-bit values, also where the header leaves open whether they are signed (VR `US or SS`)."""
    value = raw(header, keyword)
    if isinstance(value, bytes):
        count = len(value) // 2
        struct_format = f"{'<' if little_endian else '>'}{count}{'h' if signed else 'H'}"
        return list(struct.unpack(struct_format, value[: 2 * count]))
    return [int(one) for one in numbers(header, keyword) if one is not None]


def items(header: Dataset, keyword: str) -> Sequence[Dataset]:
    """The items of a sequence."""
    value = raw(header, keyword)
    try:
        return [item for item in list(value)[:MAX_ITEMS] if isinstance(item, Dataset)]
    except FAULTS:
        return []
