"""Load a bundle and verify it with the trusted keys.

Signature, digests and sizes are checked before any interpreter sees a byte of the network: a damaged network can run
with wrong outputs or end the process.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from device.bundle.archive import (
    DAMAGE,
    MANIFEST,
    MAX_FILE_BYTES,
    SIGNATURE,
    NoBundle,
    NotABundle,
    read_members,
)
from device.bundle.keys import BundleError, PublicKey, trusted_keys
from device.bundle.manifest import Ages, Manifest
from device.bundle.ood_rule import OutlierRule
from device.contract import Model, Thresholds
from device.preprocess.render import INPUT_SHAPE

__all__ = [
    "EDGETPU_MODEL",
    "GOLDEN",
    "MANIFEST",
    "MAX_FILE_BYTES",
    "MODEL",
    "OUTLIERS",
    "SIGNATURE",
    "Ages",
    "BadGolden",
    "BadManifest",
    "BadOutliers",
    "BadSignature",
    "Bundle",
    "BundleError",
    "DigestMismatch",
    "Expired",
    "Manifest",
    "NoBundle",
    "NotABundle",
    "PublicKey",
    "UntrustedKey",
    "load_bundle",
    "read_members",
    "trusted_keys",
]

MODEL, GOLDEN, EDGETPU_MODEL = "model.tflite", "golden.npz", "model_edgetpu.tflite"
OUTLIERS = "outliers.npz"
NPZ_ERRORS = (OSError, KeyError, TypeError, AttributeError, MemoryError, *DAMAGE)
"""What numpy raises for anything but an archive of arrays; there is no common type."""


class BadSignature(BundleError):
    """The manifest was changed after it was signed."""


class UntrustedKey(BundleError):
    """The bundle is signed by a key that is not trusted here."""


class DigestMismatch(BundleError):
    """A file is not the one that was signed."""


class BadManifest(BundleError):
    """The manifest is signed, but this version of the box cannot read it."""


class Expired(BundleError):
    """The bundle has expired."""


class BadGolden(BundleError):
    """The golden inputs cannot be read."""


class BadOutliers(BundleError):
    """The out-of-distribution rule cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A verified model. `golden_inputs` uint8 (n, rows, columns), `golden_logits` float32 (n,).

    `outliers` is given exactly when the manifest has a threshold for it.
    """

    path: Path
    manifest: Manifest
    signed_by: PublicKey
    tflite: bytes
    edgetpu: bytes | None
    golden_inputs: NDArray[np.uint8]
    golden_logits: NDArray[np.float32]
    outliers: OutlierRule | None = None

    @property
    def model(self) -> Model:
        """The model as results name it."""
        manifest = self.manifest
        return Model(
            name=manifest.name,
            version=manifest.version,
            digest=manifest.files[MODEL],
            preprocess_version=manifest.preprocess_version,
            quantization=manifest.quantization,
        )

    @property
    def thresholds(self) -> Thresholds:
        """The operating points in force."""
        point = self.manifest.thresholds
        return Thresholds(flag_at=point.flag_at, clear_below=point.clear_below)

    @property
    def ages(self) -> Ages:
        """The ages that the model may classify."""
        return self.manifest.ages


def load_bundle(path: Path, trusted: Sequence[PublicKey], *, now: datetime | None = None) -> Bundle:
    """Verify and read a bundle, a folder or a `.bundle` file. Raises a BundleError that names the remedy."""
    members = dict(read_members(path))
    text = members.get(MANIFEST, b"")
    signer = _verify_signature(path, text, members.get(SIGNATURE, b""), trusted)
    manifest = _parse_manifest(path, text)
    _verify_files(path, manifest, members)
    if manifest.expires is not None and (now or datetime.now(UTC)) >= manifest.expires:
        raise Expired(f"{path}: expired on {manifest.expires:%Y-%m-%d}; install a newer bundle")
    inputs, logits = _golden(path, members[GOLDEN], manifest.input.shape[1:3])
    return Bundle(
        path=path,
        manifest=manifest,
        signed_by=signer,
        tflite=members[MODEL],
        edgetpu=members.get(EDGETPU_MODEL),
        golden_inputs=inputs,
        golden_logits=logits,
        outliers=None if manifest.outliers is None else _outliers(path, members[OUTLIERS]),
    )


def _verify_signature(path: Path, text: bytes, signature_hex: bytes, trusted: Sequence[PublicKey]) -> PublicKey:
    try:
        signature = bytes.fromhex(signature_hex.decode("ascii").strip())
    except ValueError:
        raise BadSignature(f"{path}: {SIGNATURE} is not hex text; fetch the bundle again") from None
    for key in trusted:
        if key.signed(text, signature):
            return key
    claimed = _claimed_key_id(text)
    if claimed in {key.key_id for key in trusted}:
        raise BadSignature(f"{path}: {MANIFEST} was changed after key {claimed} signed it; fetch the bundle again")
    raise UntrustedKey(
        f"{path}: signed by key {claimed or 'unknown'}, which is not trusted here; if you know the signer, "
        "name the public key with --trusted-key KEY.pub (or model.trusted_keys in the box's settings)"
    )


def _claimed_key_id(text: bytes) -> str:
    """Return the signer that the unverified manifest names, for the error message only."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    claimed = value.get("signed_by") if isinstance(value, dict) else None
    return claimed[:16] if isinstance(claimed, str) and claimed.isalnum() else ""


def _parse_manifest(path: Path, text: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc'])) or 'manifest'}: {e['msg']}" for e in error.errors()]
        summary = f"{path}: {MANIFEST} cannot be read by this version; update the box or rebuild the bundle"
        raise BadManifest("\n".join([summary, *lines])) from None


def _verify_files(path: Path, manifest: Manifest, members: Mapping[str, bytes]) -> None:
    signed, present = set(manifest.files), set(members) - {MANIFEST, SIGNATURE}
    needed = {MODEL, GOLDEN} if manifest.outliers is None else {MODEL, GOLDEN, OUTLIERS}
    if missing := sorted((signed | needed) - (present & signed)):
        raise NotABundle(f"{path}: {', '.join(missing)} missing or not in {MANIFEST}; fetch the bundle again")
    if unsigned := sorted(present - signed):
        raise NotABundle(f"{path}: {', '.join(unsigned)} is not named in {MANIFEST}; fetch the bundle again")
    for name, digest in manifest.files.items():
        if hashlib.sha256(members[name]).hexdigest() != digest:
            raise DigestMismatch(f"{path}: {name} is not the file that was signed; fetch the bundle again")


def _golden(path: Path, content: bytes, size: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    try:
        inputs, logits = _arrays(content, "inputs", "logits")
    except NPZ_ERRORS as error:
        raise BadGolden(f"{path}: {GOLDEN} cannot be read ({error}); rebuild the bundle") from None
    fits = inputs.dtype == np.uint8 and inputs.shape[1:] in {size, INPUT_SHAPE} and logits.shape == inputs.shape[:1]
    if not fits or not len(inputs) or logits.dtype != np.float32 or not np.isfinite(logits).all():
        raise BadGolden(f"{path}: {GOLDEN}: expected images of {INPUT_SHAPE} with their logits; rebuild the bundle")
    return inputs, logits


def _outliers(path: Path, content: bytes) -> OutlierRule:
    try:
        centres, whiten = _arrays(content, "centres", "whiten")
    except NPZ_ERRORS as error:
        raise BadOutliers(f"{path}: {OUTLIERS} cannot be read ({error}); rebuild the bundle") from None
    typed = all(array.dtype == np.float32 and array.ndim == 2 and array.size for array in (centres, whiten))
    if not typed or whiten.shape[0] != centres.shape[1] or whiten.shape[1] < whiten.shape[0]:
        raise BadOutliers(
            f"{path}: {OUTLIERS}: expected float32 centres (classes, k) and whiten (k, k or more), got {centres.dtype} "
            f"{centres.shape} and {whiten.dtype} {whiten.shape}; rebuild the bundle"
        )
    if not (np.isfinite(centres).all() and np.isfinite(whiten).all()):
        raise BadOutliers(f"{path}: {OUTLIERS} holds NaN or infinity; rebuild the bundle")
    return OutlierRule(centres=centres, whiten=whiten)


def _arrays(content: bytes, *names: str) -> list[NDArray[Any]]:
    """Return arrays of an .npz by name. Raises NPZ_ERRORS."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return [arrays[name] for name in names]
