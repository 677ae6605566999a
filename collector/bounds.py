"""Bounds: a parsed result or health message comes in; nothing goes out, or a ContractError. Pure.

The box keeps these by its own making. A broker that lets anyone publish does not, and what is stored is compared.
"""

from __future__ import annotations

from typing import Any

from device.contract import ContractError

MAX_CHARACTERS = 256
MAX_DEPTH = 8
MAX_NUMBER = 2**63 - 1


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
