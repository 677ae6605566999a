"""Errors: an exception comes in; the exit code of a trouble that has a remedy goes out, None for an unforeseen one."""

from __future__ import annotations

from device.board.server import BoardError
from device.bundle.loader import BundleError, NoBundle
from device.bundle.slots import UpdateError
from device.config import ConfigError
from device.contract import ContractError
from device.delivery.outbox import OutboxBroken
from device.inference.backends.engine import BackendUnavailable
from device.inference.classifier import UnknownBackend
from device.intake.sandbox import SandboxBroken
from device.service import BoxError

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
