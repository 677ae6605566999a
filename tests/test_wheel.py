"""The wheel of this checkout, which is what an installation gets."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def packages(project_root: Path) -> list[str]:
    settings = tomllib.loads((project_root / "pyproject.toml").read_text())
    return settings["tool"]["setuptools"]["packages"]


@pytest.fixture(scope="module")
def wheel(project_root: Path, tracked: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the tracked files in another folder, so that nothing is left in this one."""
    copy = tmp_path_factory.mktemp("wheel") / "source"
    for name in tracked:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(project_root / name, copy / name)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", "dist", "."]
    subprocess.run(build, cwd=copy, check=True, capture_output=True)
    return next((copy / "dist").glob("pneumoflag-*.whl"))


def test_every_folder_of_code_is_a_listed_package(tracked: list[str], packages: list[str]) -> None:
    roots = {package.split(".")[0] for package in packages}
    folders = {str(Path(name).parent).replace("/", ".") for name in tracked if name.endswith(".py")}
    assert {package for package in folders if package.split(".")[0] in roots} <= set(packages)


def test_the_wheel_holds_every_file_of_its_packages(wheel: Path, tracked: list[str], packages: list[str]) -> None:
    roots = tuple(f"{package.split('.')[0]}/" for package in packages)
    with zipfile.ZipFile(wheel) as content:
        held = set(content.namelist())
    assert sorted(name for name in tracked if name.startswith(roots) and name not in held) == []
    assert {
        "train/weights/lite0-imagenet.npz",
        "train/data/templates/dataset_card.html",
        "train/recipes/edge.yaml",
    } <= held
    assert {f"collector/store/migrations/{name}" for name in ("env.py", "versions/v0001_first.py")} <= held
