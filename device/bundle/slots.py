"""Install a bundle: it becomes active after a self-test in a process of its own, or nothing changes.

`model.bundle` of the configuration is then a link, `active`, beside two slots. Switching is one rename, and the
previous slot stays for the roll-back.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from console.errors import ExpectedError
from device.bundle.loader import BundleError, load_bundle, trusted_keys
from device.config import ModelConfig
from device.contract import Model

SLOTS = ("slot-a.bundle", "slot-b.bundle")
SELFTEST_S = 180.0
SELFTEST = [sys.executable, "-c", "from device.app import main; main()", "selftest"]


class UpdateError(ExpectedError):
    """The new model was not installed; the previous one stays active. The message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """The model that is active now, and the previous one."""

    model: Model
    previous: Model | None


def install(bundle: Path, model: ModelConfig, *, allow_older: bool = False) -> Installed:
    """Verify, copy to the free slot, test, activate. Raises UpdateError, BundleError; nothing has changed then."""
    active = _link(model)
    new, previous = _verified_model(bundle, model), _active_model(model)
    if previous and new.version <= previous.version and not allow_older:
        raise UpdateError(
            f"{bundle}: expected a version above {previous.version}, which is active, got {new.version}; "
            "--allow-older installs it anyway"
        )
    slot = active.with_name(_free_slot(active))
    _copy(bundle, slot)
    try:
        _test(slot, model)
    except UpdateError:
        slot.unlink()
        raise
    _activate(active, slot)
    return Installed(model=new, previous=previous)


def roll_back(model: ModelConfig) -> Installed:
    """Make the other slot active again. Raises UpdateError when there is none, BundleError when it is invalid."""
    active = _link(model)
    slot = active.with_name(_free_slot(active))
    if not active.is_symlink() or not slot.exists():
        raise UpdateError(f"{active}: no earlier model is kept; install one with `pneumoflag-device install`")
    previous = _active_model(model)
    restored = _verified_model(slot, model)
    _activate(active, slot)
    return Installed(model=restored, previous=previous)


def _link(model: ModelConfig) -> Path:
    if model.bundle.exists() and not model.bundle.is_symlink():
        raise UpdateError(
            f"{model.bundle}: expected a link or nothing, got a file; set model.bundle to a new path "
            "such as models/active"
        )
    return model.bundle


def _verified_model(bundle: Path, model: ModelConfig) -> Model:
    return load_bundle(bundle, trusted_keys(model.trusted_keys)).model


def _active_model(model: ModelConfig) -> Model | None:
    """Return None also for a model that can no longer be used: then any other is better."""
    try:
        return _verified_model(model.bundle, model)
    except BundleError:
        return None


def _free_slot(active: Path) -> str:
    used = active.readlink().name if active.is_symlink() else SLOTS[1]
    return SLOTS[1] if used == SLOTS[0] else SLOTS[0]


def _copy(bundle: Path, slot: Path) -> None:
    temporary = slot.with_name(f".{secrets.token_hex(8)}")
    try:
        slot.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.rename(slot)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UpdateError(
            f"{bundle}: cannot be copied to {slot.parent} ({error.strerror}); give one .bundle file"
        ) from None


def _test(slot: Path, model: ModelConfig) -> None:
    """Run the self-test in a process of its own, because a network can end the process that opens it."""
    trusted = [argument for key in model.trusted_keys for argument in ("--trusted-key", str(key))]
    options = ["--bundle", str(slot), "--backend", model.backend, "--threads", str(model.threads)]
    options += ["--max-ms", str(model.max_infer_ms), *trusted]
    try:
        selftest = subprocess.run(
            [*SELFTEST, *options], check=False, capture_output=True, text=True, timeout=SELFTEST_S
        )
    except subprocess.TimeoutExpired:
        raise UpdateError(
            f"{slot}: the self-test took longer than {SELFTEST_S:.0f} s; the previous model stays active"
        ) from None
    if selftest.returncode:
        error = (selftest.stderr.strip().splitlines() or [f"ended with status {selftest.returncode}"])[-1]
        raise UpdateError(f"the self-test failed, the previous model stays active: {error}")


def _activate(active: Path, slot: Path) -> None:
    link = active.with_name(f".{secrets.token_hex(8)}")
    link.symlink_to(slot.name)
    link.rename(active)
    folder = os.open(active.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
