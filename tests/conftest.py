"""Fixtures for all tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB of its own, to be filled for real."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=False, capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("a full disk needs a small file system of its own: root and mount(8) are missing")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
