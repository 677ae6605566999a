"""Bundle: a folder or one file and the trusted keys come in; a verified model goes out.

Signature, digests and sizes are checked before any interpreter sees a byte of the network: a damaged network can run
without a sign or end the process.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from device.contract import Model, Thresholds
from device.keys import BundleError, PublicKey, trusted_keys
from device.manifest import Ages, Manifest

__all__ = ["Ages", "Bundle", "BundleError", "Manifest", "PublicKey", "load_bundle", "trusted_keys"]

MANIFEST, SIGNATURE = "manifest.json", "manifest.json.sig"
MODEL, GOLDEN, EDGETPU_MODEL = "model.tflite", "golden.npz", "model_edgetpu.tflite"
MAX_MEMBERS = 32
MAX_MANIFEST_BYTES = 1 << 20
MAX_FILE_BYTES = 64 << 20
"""A file of a bundle may not be larger; the networks in view have at most 5 MB."""


COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, EOFError, ValueError,
    OverflowError,
)  # fmt: skip
"""What zipfile raises for a damaged archive has no common type."""


class NotABundle(BundleError):
    """Something else, a damaged archive, or a part is missing, foreign or too large."""


class BadSignature(BundleError):
    """The manifest is not what the signer signed."""


class UntrustedKey(BundleError):
    """Signed by someone this box does not know."""


class DigestMismatch(BundleError):
    """A file is not the one of the manifest."""


class BadManifest(BundleError):
    """Signed, yet not understood by this version of the box."""


class Expired(BundleError):
    """The bundle's time is over."""


class BadGolden(BundleError):
    """The golden inputs cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A verified model. `golden_inputs` uint8 (n, rows, columns), `golden_logits` float32 (n,)."""

    path: Path
    manifest: Manifest
    signed_by: PublicKey
    tflite: bytes
    edgetpu: bytes | None
    golden_inputs: NDArray[np.uint8]
    golden_logits: NDArray[np.float32]

    @property
    def model(self) -> Model:
        """What results say of the network."""
        facts = self.manifest
        return Model(
            name=facts.name,
            version=facts.version,
            digest=facts.files[MODEL],
            preprocess_version=facts.preprocess_version,
            quantization=facts.quantization,
        )

    @property
    def thresholds(self) -> Thresholds:
        """The operating points in force."""
        point = self.manifest.thresholds
        return Thresholds(flag_at=point.flag_at, clear_below=point.clear_below)

    @property
    def ages(self) -> Ages:
        """Which ages the model may judge."""
        return self.manifest.ages


def load_bundle(path: Path, trusted: Sequence[PublicKey], *, now: datetime | None = None) -> Bundle:
    """Verify and read a bundle, a folder or a `.bundle` file. Raises a BundleError that names the remedy."""
    members = dict(read_members(path))
    text = members.get(MANIFEST, b"")
    signer = _verify_signature(path, text, members.get(SIGNATURE, b""), trusted)
    manifest = _parse_manifest(path, text)
    _verify_files(path, manifest, members)
    _verify_time(path, manifest, now or datetime.now(UTC))
    inputs, logits = _golden(path, members[GOLDEN], manifest.input.shape[1:3])
    return Bundle(
        path=path,
        manifest=manifest,
        signed_by=signer,
        tflite=members[MODEL],
        edgetpu=members.get(EDGETPU_MODEL),
        golden_inputs=inputs,
        golden_logits=logits,
    )


def read_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each part, unverified; names are plain, sizes are capped. Raises NotABundle."""
    try:
        if path.is_dir():
            yield from _from_folder(path)
        else:
            yield from _from_archive(path)
    except OSError as error:
        raise NotABundle(
            f"{path}: bundle cannot be read ({error.strerror or error}); name a .bundle file, "
            "or put one in place with `pneumoflag-device install FILE --config CONFIG`"
        ) from None
    except DAMAGE as error:
        raise NotABundle(f"{path}: not a bundle ({error}); name what `pneumoflag-export build` wrote") from None


def _from_folder(path: Path) -> Iterator[tuple[str, bytes]]:
    entries = sorted(path.iterdir())
    _check_names(path, [entry.name for entry in entries])
    for entry in entries:
        if entry.is_symlink() or not entry.is_file():
            raise NotABundle(f"{path}: {entry.name} is not a plain file; copy the bundle afresh")
        with entry.open("rb") as stream:
            yield entry.name, _capped(path, entry.name, stream.read(_limit(entry.name) + 1))


def _from_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        _check_names(path, [entry.filename for entry in entries])
        for entry in entries:
            if entry.compress_type not in COMPRESSIONS:
                raise NotABundle(f"{path}: {entry.filename} is packed in an unknown way; fetch the bundle again")
            with archive.open(entry) as stream:
                yield entry.filename, _capped(path, entry.filename, stream.read(_limit(entry.filename) + 1))


def _check_names(path: Path, names: Sequence[str]) -> None:
    if len(names) > MAX_MEMBERS or len(set(names)) != len(names):
        raise NotABundle(f"{path}: {len(names)} parts, at most {MAX_MEMBERS} different ones expected")
    for name in names:
        if name != Path(name).name or "\\" in name or name.startswith("."):
            raise NotABundle(f"{path}: a part is named {name!r}, a plain name expected; do not use this bundle")
    for needed in (MANIFEST, SIGNATURE):
        if needed not in names:
            raise NotABundle(f"{path}: has no {needed}; name a folder or file of `pneumoflag-export build`")


def _limit(name: str) -> int:
    return MAX_MANIFEST_BYTES if name in {MANIFEST, SIGNATURE} else MAX_FILE_BYTES


def _capped(path: Path, name: str, content: bytes) -> bytes:
    if len(content) > _limit(name):
        raise NotABundle(f"{path}: {name} has more than {_limit(name)} bytes; do not use this bundle")
    return content


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
    """Who the unverified manifest says signed it: for the error message only."""
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
        words = f"{path}: {MANIFEST} is not understood here; update the box or build the bundle anew"
        raise BadManifest("\n".join([words, *lines])) from None


def _verify_files(path: Path, manifest: Manifest, members: Mapping[str, bytes]) -> None:
    named, found = set(manifest.files), set(members) - {MANIFEST, SIGNATURE}
    if missing := sorted((named | {MODEL, GOLDEN}) - (found & named)):
        raise NotABundle(f"{path}: {', '.join(missing)} missing or not in {MANIFEST}; fetch the bundle again")
    if foreign := sorted(found - named):
        raise NotABundle(f"{path}: {', '.join(foreign)} stands in the bundle and not in {MANIFEST}; fetch it again")
    for name, digest in manifest.files.items():
        if hashlib.sha256(members[name]).hexdigest() != digest:
            raise DigestMismatch(f"{path}: {name} is not the file that was signed; fetch the bundle again")


def _verify_time(path: Path, manifest: Manifest, now: datetime) -> None:
    if manifest.expires is not None and now >= manifest.expires:
        raise Expired(f"{path}: expired on {manifest.expires:%Y-%m-%d}; install a newer bundle")


def _golden(path: Path, content: bytes, size: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            inputs, logits = arrays["inputs"], arrays["logits"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise BadGolden(f"{path}: {GOLDEN} cannot be read ({error}); build the bundle anew") from None
    fits = inputs.dtype == np.uint8 and inputs.shape[1:] == size and logits.shape == inputs.shape[:1]
    if not fits or not len(inputs) or logits.dtype != np.float32 or not np.isfinite(logits).all():
        raise BadGolden(f"{path}: {GOLDEN} does not hold films of {size} with their logits; build the bundle anew")
    return inputs, logits
