"""Errors: an exception comes in; the exit code of a trouble that has a remedy goes out, None for an unforeseen one."""

from __future__ import annotations

from device.backends.engine import BackendUnavailable
from device.board.server import BoardError
from device.box import BoxError
from device.bundle import BundleError, NoBundle
from device.classify import UnknownBackend
from device.config import ConfigError
from device.contract import ContractError
from device.outbox import OutboxBroken
from device.sandbox import SandboxBroken
from device.update import UpdateError

FAILED, USAGE = 1, 2
# The first that fits holds.
CODES: dict[type[Exception], int] = {
    NoBundle: USAGE,
    UnknownBackend: USAGE,
    ConfigError: USAGE,
    ContractError: USAGE,
    BoxError: FAILED,
    BoardError: FAILED,
    BundleError: FAILED,
    BackendUnavailable: FAILED,
    OutboxBroken: FAILED,
    SandboxBroken: FAILED,
    UpdateError: FAILED,
}


def exit_code(error: Exception) -> int | None:
    """What `pneumoflag-device` ends with."""
    return next((code for kind, code in CODES.items() if isinstance(error, kind)), None)
