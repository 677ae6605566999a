"""Bounds: a parsed result or health message comes in; nothing goes out, or a ContractError. Pure.

The box keeps these by its own making. A broker that lets anyone publish does not, and what is stored is compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from device.contract import ContractError, Result

ID = re.compile(r"[0-9a-f]{32}")
DIGEST = re.compile(r"[0-9a-f]{64}")
TOPIC_LEVEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
BOOT = re.compile(r"[^\0]{1,64}")
TERM = re.compile(r"[A-Za-z0-9 _./-]{1,64}")
"""Wider than DICOM's code string (PS3.5, 6.2): some makers write small letters."""
TEXTS = {
    TOPIC_LEVEL: ("site", "device"),
    BOOT: ("boot_id",),
    ID: ("result_id", "exposure_id", "study_id", "patient_id", "accession_id"),
    DIGEST: ("model.digest",),
    TERM: ("exposure.modality", "exposure.body_part", "exposure.view", "exposure.sex", "exposure.transfer_syntax"),
}
OLDEST_YEARS = 150
UNBOUNDED = float("inf")
NUMBERS = {
    "seq": (0, UNBOUNDED),
    "probability": (0, 1),
    "score": (0, 1),
    "thresholds.flag_at": (0, 1),
    "thresholds.clear_below": (0, 1),
    "exposure.age_years": (0, OLDEST_YEARS),
    "exposure.rows": (0, UNBOUNDED),
    "exposure.columns": (0, UNBOUNDED),
    "model.version": (0, UNBOUNDED),
    "model.preprocess_version": (1, UNBOUNDED),
    "timing_ms.receive": (0, UNBOUNDED),
    "timing_ms.decode": (0, UNBOUNDED),
    "timing_ms.preprocess": (0, UNBOUNDED),
    "timing_ms.infer": (0, UNBOUNDED),
    "timing_ms.total": (0, UNBOUNDED),
}
MAX_CHARACTERS = 256
MAX_DEPTH = 8
MAX_NUMBER = 2**63 - 1


def check_result(result: Result) -> None:
    """Raises ContractError naming the first field outside `device/contract.schema.json`, and for overlong text."""
    values = dict(_leaves(result))
    for pattern, names in TEXTS.items():
        for name in names:
            if values[name] is not None and not pattern.fullmatch(values[name]):
                raise ContractError(f"result.{name}: {pattern.pattern} expected")
    for name, (least, most) in NUMBERS.items():
        if values[name] is not None and not least <= values[name] <= most:
            raise ContractError(f"result.{name}: a number from {least} to {most} expected")
    for name, value in values.items():
        if isinstance(value, str) and (len(value) > MAX_CHARACTERS or "\0" in value):
            raise ContractError(f"result.{name}: at most {MAX_CHARACTERS} characters expected, and no zero byte")


def _leaves(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Values by their dotted names."""
    for field in fields(value):
        part, name = getattr(value, field.name), f"{where}{field.name}"
        if is_dataclass(part):
            yield from _leaves(part, f"{name}.")
        else:
            yield name, part


def check_health(said: Any, depth: int = MAX_DEPTH) -> None:
    """Raises ContractError for numbers and texts that could not be shown, and for deep nesting."""
    if not depth:
        raise ContractError("health: nested too deeply")
    if isinstance(said, str):
        _check_text(said, "health")
    elif isinstance(said, (int, float)) and not abs(said) <= MAX_NUMBER:  # not (<=): NaN compares false
        raise ContractError("health: a finite number of at most 63 bits expected")
    elif isinstance(said, (dict, list)):
        for part in [*said, *said.values()] if isinstance(said, dict) else said:
            check_health(part, depth - 1)


def _check_text(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ContractError(f"{where}: text with half a surrogate pair") from None
