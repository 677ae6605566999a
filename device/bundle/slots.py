"""Update: a bundle file comes in; it is the active one once a child process has tried it, or nothing has changed.

`model.bundle` of the configuration is then a link, `active`, beside two slots. Switching is one rename, and the slot of
before stays for the way back.
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
TRIAL_S = 180.0
SELFTEST = [sys.executable, "-c", "from device.app import main; main()", "selftest"]


class UpdateError(ExpectedError):
    """The new model was not taken; the one of before is still active. The words say why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What is active now, and what was before."""

    model: Model
    before: Model | None


def install(bundle: Path, model: ModelConfig, *, allow_older: bool = False) -> Installed:
    """Verify, copy to the free slot, try, activate. Raises UpdateError, BundleError; nothing has changed then."""
    active = _link(model)
    new, before = _model(bundle, model), _active_model(model)
    if before and new.version <= before.version and not allow_older:
        raise UpdateError(
            f"{bundle}: version {new.version}, but version {before.version} is active; --allow-older takes it anyway"
        )
    slot = active.with_name(_free_slot(active))
    _copy(bundle, slot)
    try:
        _try(slot, model)
    except UpdateError:
        slot.unlink()
        raise
    _point(active, slot)
    return Installed(model=new, before=before)


def roll_back(model: ModelConfig) -> Installed:
    """Make the other slot active again. Raises UpdateError when there is none, BundleError when it is no good."""
    active = _link(model)
    slot = active.with_name(_free_slot(active))
    if not active.is_symlink() or not slot.exists():
        raise UpdateError(f"{active}: no earlier model is kept; install one with `pneumoflag-device install`")
    before = _active_model(model)
    found = _model(slot, model)
    _point(active, slot)
    return Installed(model=found, before=before)


def _link(model: ModelConfig) -> Path:
    if model.bundle.exists() and not model.bundle.is_symlink():
        raise UpdateError(
            f"{model.bundle}: a file of your own, which stays; set model.bundle to a new path such as models/active"
        )
    return model.bundle


def _model(bundle: Path, model: ModelConfig) -> Model:
    return load_bundle(bundle, trusted_keys(model.trusted_keys)).model


def _active_model(model: ModelConfig) -> Model | None:
    """None also for one that can no longer be used, for then any other is better."""
    try:
        return _model(model.bundle, model)
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
            f"{bundle}: cannot be copied to {slot.parent} ({error.strerror}); one file expected"
        ) from None


def _try(slot: Path, model: ModelConfig) -> None:
    """The self-test in a process of its own: a network can end the process that opens it."""
    trusted = [word for key in model.trusted_keys for word in ("--trusted-key", str(key))]
    options = ["--bundle", str(slot), "--backend", model.backend, "--threads", str(model.threads)]
    options += ["--max-ms", str(model.max_infer_ms), *trusted]
    try:
        trial = subprocess.run([*SELFTEST, *options], check=False, capture_output=True, text=True, timeout=TRIAL_S)
    except subprocess.TimeoutExpired:
        raise UpdateError(f"{slot}: the trial took longer than {TRIAL_S:.0f} s; the model of before stays") from None
    if trial.returncode:
        said = (trial.stderr.strip().splitlines() or [f"ended with status {trial.returncode}"])[-1]
        raise UpdateError(f"the trial failed, the model of before stays: {said}")


def _point(active: Path, slot: Path) -> None:
    fresh = active.with_name(f".{secrets.token_hex(8)}")
    fresh.symlink_to(slot.name)
    fresh.rename(active)
    folder = os.open(active.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
