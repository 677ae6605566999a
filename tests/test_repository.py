"""The whole tree: names of packages, locks, and what must never be committed."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest

ROLES = ("device", "tflite", "train", "collector", "sim", "dev")
PACKAGES = {"console", "device", "train", "export", "collector", "sim"}
PIN = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lock: Path) -> set[str]:
    return {canonical(name) for name in PIN.findall(lock.read_text())}


def wanted(extras: dict[str, list[str]], role: str) -> set[str]:
    """Return the names of a role's dependencies, without those of every program."""
    names: set[str] = set()
    for line in extras[role]:
        if inner := re.match(r"pneumoflag\[(\w+)\]", line):
            names |= wanted(extras, inner[1])
        else:
            names.add(canonical(re.split(r"[\[<>=!~; ]", line)[0]))
    return names


def shared(project: dict) -> set[str]:
    """Return the names of what every program needs."""
    return wanted({"all": project["dependencies"]}, "all")


@pytest.fixture(scope="module")
def project(project_root: Path) -> dict:
    return tomllib.loads((project_root / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("role", ROLES)
def test_every_dependency_of_a_role_is_pinned_with_hashes(project_root, project, role):
    lock = project_root / "locks" / f"{role}.txt"
    assert wanted(project["optional-dependencies"], role) | shared(project) <= pins(lock)
    for entry in re.split(r"\n(?=\S)", lock.read_text().strip()):
        assert "--hash=sha256:" in entry or entry.startswith("#"), entry


@pytest.mark.parametrize("role", ["device", "tflite", "collector", "sim"])
def test_tensorflow_is_not_among_the_dependencies_of(project_root, role):
    assert not {"tensorflow", "tensorflow-cpu", "keras"} & pins(project_root / "locks" / f"{role}.txt")


def test_the_roles_share_one_version_of_everything(project_root):
    line = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
    dev = dict(line.findall((project_root / "locks/dev.txt").read_text()))
    for role in ("device", "train", "collector", "sim"):
        role_pins = dict(line.findall((project_root / f"locks/{role}.txt").read_text()))
        assert {k: v for k, v in role_pins.items() if k in dev} == {k: dev[k] for k in role_pins if k in dev}


def test_no_dependency_owns_the_name_of_a_package():
    owners = importlib.metadata.packages_distributions()
    for name in PACKAGES & owners.keys():
        assert {canonical(o) for o in owners[name]} == {"pneumoflag"}, f"{name} belongs to {owners[name]}"


def test_no_image_secret_or_registry_address_is_tracked(project_root, tracked):
    assert not [n for n in tracked if n.lower().endswith((".dcm", ".jpg", ".jpeg", ".key", ".pem", ".sqlite"))]
    for name in (n for n in tracked if n.startswith("locks/")):
        assert not re.search(r"https?://|--index-url|--find-links", (project_root / name).read_text()), name


def test_every_dependency_has_its_reason_in_the_docs(project_root, project):
    text = (project_root / "docs/dependencies.md").read_text().lower()
    everything = shared(project).union(*(wanted(project["optional-dependencies"], role) for role in ROLES))
    assert not sorted(name for name in everything if f"`{name}`" not in text)


def test_the_changelog_has_the_version(project_root, project):
    assert f"## {project['version']}" in (project_root / "CHANGELOG.md").read_text()
