"""Fixtures for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from device.bundle.loader import PublicKey
from tests.support.bundle_factory import make_bundle

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def project_root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of images that are not part of the project; tests that need them are skipped without it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("expected a folder of images beside the checkout, ../shared/data, got none")
    return folder


@pytest.fixture
def tiny_bundle(tmp_path: Path) -> tuple[Path, PublicKey]:
    """Return a small signed bundle and the key to trust it with; see tests/support/bundle_factory.py."""
    return make_bundle(tmp_path)
