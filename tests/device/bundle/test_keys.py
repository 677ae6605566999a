from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest

from device.bundle.keys import (
    KeyFileError,
    read_public_key,
    trusted_keys,
    user_key_folder,
)
from device.bundle.loader import load_bundle
from export.bundle.writer import make_key, read_signing_key, trust_here
from tests.support.bundle_factory import make_bundle


@pytest.fixture
def config_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config"


def test_a_new_key_is_private_and_its_id_comes_from_the_public_half(tmp_path: Path) -> None:
    public = make_key(tmp_path / "my.key")
    assert stat.S_IMODE((tmp_path / "my.key").stat().st_mode) == 0o600
    assert public.where == tmp_path / "my.key.pub"
    assert public.key_id == hashlib.sha256(public.raw).hexdigest()[:16]
    assert read_signing_key(tmp_path / "my.key").public.raw == public.raw


@pytest.mark.parametrize("name", ["my.key", "my.key.pub"])
def test_a_key_is_never_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(KeyFileError, match="never overwritten"):
        make_key(tmp_path / "my.key")
    assert (tmp_path / name).read_text() == "precious"


def test_bundles_of_ones_own_key_pass_without_more(tmp_path: Path, config_home: Path) -> None:
    bundle, public = make_bundle(tmp_path)
    place = trust_here(public)
    assert place.parent == user_key_folder()
    assert config_home in place.parents
    assert load_bundle(bundle, trusted_keys()).signed_by.key_id == public.key_id


def test_named_keys_are_trusted_besides_the_shipped(tmp_path: Path, config_home: Path) -> None:
    bundle, public = make_bundle(tmp_path)
    assert public.key_id not in {key.key_id for key in trusted_keys()}
    assert load_bundle(bundle, trusted_keys([public.where])).signed_by.key_id == public.key_id


@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_broken_key_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.pub").write_bytes(content)
    with pytest.raises(KeyFileError, match=r"bad\.pub.*keygen"):
        read_public_key(tmp_path / "bad.pub")
    with pytest.raises(KeyFileError, match="keygen"):
        read_signing_key(tmp_path / "bad.pub")


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"absent\.pub"):
        trusted_keys([tmp_path / "absent.pub"])
    with pytest.raises(KeyFileError, match="keygen"):
        read_signing_key(tmp_path / "absent.key")


def test_a_private_key_does_not_pass_for_a_public_one(tmp_path: Path) -> None:
    make_key(tmp_path / "my.key")
    with pytest.raises(KeyFileError, match="not an Ed25519 public key"):
        read_public_key(tmp_path / "my.key")
