"""Fixtures for all tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from device.bundle.loader import PublicKey
from tests.support.bundle_factory import make_bundle

if TYPE_CHECKING:
    from tests.flow.browser import Browser

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def project_root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def tracked() -> list[str]:
    """Return the name of every file that git tracks."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [name for name in listing.stdout.split("\0") if name and (ROOT / name).exists()]


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


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with toy images, manifest.csv and toy.yaml; see tests/support/toy_images.py."""
    from tests.support.toy_images import write_toy  # noqa: PLC0415 - a box's environment has no TensorFlow

    folder = tmp_path_factory.mktemp("toy") / "data"
    write_toy(folder)
    return folder


@pytest.fixture(scope="session")
def toy_run(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a trained run of two seeds."""
    from tests.support.toy_images import train_toy  # noqa: PLC0415 - a box's environment has no TensorFlow

    return train_toy(toy, tmp_path_factory.mktemp("toy-run") / "run")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One Chromium for the whole session; a test names its size and light by `chromium.show`."""
    pytest.importorskip("selenium", reason="selenium is missing: it comes with the dev extra")
    from tests.flow.browser import Browser, missing_part  # noqa: PLC0415 - selenium may be absent

    if missing := missing_part():
        pytest.skip(missing)
    browser = Browser()
    yield browser
    browser.close()
