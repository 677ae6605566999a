"""Write a bundle: a model's description, its files and a signing key come in; a signed bundle goes out."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from numpy.typing import NDArray

from device.bundle.keys import (
    KeyFileError,
    PublicKey,
    read_public_key,
    user_key_folder,
)
from device.bundle.loader import (
    GOLDEN,
    MANIFEST,
    MODEL,
    SIGNATURE,
)
from device.bundle.manifest import Manifest, ModelDescription

CARD, PAGE = "model_card.md", "model_card.html"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""Every part carries the oldest time of a zip archive, so that equal parts make equal bundles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """An Ed25519 private key and its public half."""

    private: Ed25519PrivateKey
    public: PublicKey


def make_key(path: Path) -> PublicKey:
    """Write a new private key (PEM, mode 600) and `path`.pub. Never overwrites: raises KeyFileError."""
    private = Ed25519PrivateKey.generate()
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public_path = path.with_name(f"{path.name}.pub")
    if public_path.exists():
        raise KeyFileError(f"{public_path}: exists already; a key is never overwritten, name another file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(secret)
    except FileExistsError:
        raise KeyFileError(f"{path}: exists already; a key is never overwritten, name another file") from None
    except OSError as error:
        raise KeyFileError(f"{path}: key cannot be written ({error.strerror})") from None
    public_path.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return read_public_key(public_path)


def trust_here(key: PublicKey) -> Path:
    """Make this user's `classify` and `selftest` trust a public key; return the file it was copied to."""
    place = user_key_folder() / f"{key.key_id}.pub"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(key.where.read_bytes())
    return place


def read_signing_key(path: Path) -> SigningKey:
    """Read a private key in PEM. Raises KeyFileError."""
    remedy = f"make one with `pneumoflag-export keygen {path}`"
    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise KeyFileError(f"{path}: signing key cannot be read ({error.strerror}); {remedy}") from None
    except (ValueError, TypeError):
        raise KeyFileError(f"{path}: not a private key in PEM without password; {remedy}") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyFileError(f"{path}: not an Ed25519 key; {remedy}")
    raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return SigningKey(private=private, public=PublicKey(raw=raw, where=path))


def golden_file(inputs: NDArray[np.uint8], logits: NDArray[np.float32]) -> bytes:
    """Return golden.npz: `inputs` uint8 (n, rows, columns) and `logits` float32 (n,)."""
    return arrays_file(inputs=inputs, logits=logits)


def arrays_file(**arrays: NDArray[Any]) -> bytes:
    """Return an .npz archive, the same bytes for the same arrays."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            archive.writestr(_entry(f"{name}.npy"), content.getvalue())
    return stream.getvalue()


def json_file(value: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """Return indented JSON. Raises ValueError for NaN and infinity, which JSON does not have."""
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()


def build_timestamp() -> datetime:
    """Return SOURCE_DATE_EPOCH (reproducible-builds.org) or the current second, as the bundle's time of creation.

    With it the same input gives the same bundle, byte by byte.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC).replace(microsecond=0)


def signed_parts(model: ModelDescription, parts: Mapping[str, bytes], key: SigningKey) -> dict[str, bytes]:
    """Return all files of a bundle: the manifest of `model` and `parts`, its signature, and `parts` by name.

    Raises ValidationError.
    """
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(parts.items())}
    fields = model.model_dump(by_alias=True)
    manifest = Manifest.model_validate({**fields, "files": digests, "signed_by": key.public.key_id})
    text = (manifest.model_dump_json(by_alias=True, indent=1) + "\n").encode()
    signature = f"{key.private.sign(text).hex()}\n".encode()
    return {MANIFEST: text, SIGNATURE: signature, **dict(sorted(parts.items()))}


def write_bundle(out: Path, parts: Mapping[str, bytes]) -> None:
    """Write one file when the name ends in `.bundle`, a folder otherwise; an earlier bundle is replaced."""
    for needed in (MANIFEST, SIGNATURE, MODEL, GOLDEN):
        if needed not in parts:
            raise ValueError(f"{needed} is missing")
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix != ".bundle":
        out.mkdir(exist_ok=True)
        for name, content in parts.items():
            (out / name).write_bytes(content)
        return
    partial = out.with_name(f".{out.name}.partial")
    with zipfile.ZipFile(partial, "w") as archive:
        for name, content in parts.items():
            archive.writestr(_entry(name), content)
    partial.replace(out)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry
