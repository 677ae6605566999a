"""The Ed25519 public keys that may sign bundles."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from console.errors import ExpectedError

RELEASE_KEYS = Path(__file__).resolve().parents[2] / "firmware_config" / "keys"
KEY_ID_HEX_DIGITS = 16


class BundleError(ExpectedError):
    """A bundle or its key cannot be used; the message names it, the fault and the remedy."""


class KeyFileError(BundleError):
    """A key file cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A key that may sign bundles for this box. `raw` is the 32-byte Ed25519 key."""

    raw: bytes
    where: Path

    @property
    def key_id(self) -> str:
        """First 16 hex digits of SHA-256 over the raw key."""
        return hashlib.sha256(self.raw).hexdigest()[:KEY_ID_HEX_DIGITS]

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Return whether this key made the signature."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True


def read_public_key(path: Path) -> PublicKey:
    """Read a public key in PEM. Raises KeyFileError."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise KeyFileError(f"{path}: key cannot be read ({error.strerror})") from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{path}: not an Ed25519 public key in PEM; `pneumoflag-export keygen` writes one (KEY.pub)")
    return PublicKey(raw=key.public_bytes(Encoding.Raw, PublicFormat.Raw), where=path)


def user_key_folder() -> Path:
    """Return the folder of the keys that the user of this workstation trusts."""
    configured = os.environ.get("XDG_CONFIG_HOME", "")
    base = Path(configured) if configured else Path.home() / ".config"
    return base / "pneumoflag" / "trusted"


def trusted_keys(extra: Sequence[Path] = ()) -> list[PublicKey]:
    """Return the shipped release keys, the user's own, and the given ones. Raises KeyFileError for a broken file."""
    folders = (RELEASE_KEYS, user_key_folder())
    files = [path for folder in folders for path in sorted(folder.glob("*.pub"))]
    return [read_public_key(path) for path in [*files, *extra]]
