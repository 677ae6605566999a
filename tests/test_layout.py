"""The shape of the tree: few entries on each level, no file of a few lines, documents whose links lead somewhere."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import pytest

MOST_ENTRIES = 16
FEWEST_LINES = 30
LONGEST_LINE = 120

SHORT_FILES = {
    "*/__init__.py": "a package's docstring",
    "collector/store/migrations/env.py": "Alembic asks for a file of this name",
}
"""Files that may be shorter, and why."""
PENDING = {}
"""Not fixed yet. An entry goes with its fix; the table is empty in the end."""

LINK = re.compile(r"\]\(([^)\s#]*)(?:#([^)\s]*))?\)")
NAMED_DOCUMENT = re.compile(r"\b(?<!/)docs/[\w/.-]+\.md\b")


def pending(name: str, subject: str) -> bool:
    return any(fnmatch(name, pattern) and subject == what for pattern, what in PENDING.items())


@pytest.fixture(scope="module")
def documents(tracked: list[str]) -> list[str]:
    return [name for name in tracked if name.endswith(".md")]


def heading_links(document: Path) -> set[str]:
    """Return the part after # of a link to each heading, as GitHub forms it."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_no_level_has_more_entries_than_a_reader_can_survey(tracked: list[str]) -> None:
    levels: dict[str, set[str]] = defaultdict(set)
    for name in tracked:
        path = PurePosixPath(name)
        for entry in (path, *path.parents[:-1]):
            if not entry.name.startswith("."):
                levels[str(entry.parent)].add(entry.name)
    crowded = {level: len(entries) for level, entries in levels.items() if len(entries) > MOST_ENTRIES}
    assert not [level for level in crowded if not pending(level, "entries")], crowded


def test_no_module_has_only_a_few_lines(project_root: Path, tracked: list[str]) -> None:
    short = {
        name: lines
        for name in tracked
        if name.endswith(".py") and not any(fnmatch(name, pattern) for pattern in SHORT_FILES)
        if (lines := len((project_root / name).read_text(encoding="utf-8").splitlines())) < FEWEST_LINES
    }
    assert not [name for name in short if not pending(name, "lines")], short


def test_every_link_of_a_document_leads_to_a_tracked_file_and_heading(
    project_root: Path, tracked: list[str], documents: list[str]
) -> None:
    broken = []
    for name in documents:
        for target, heading in LINK.findall((project_root / name).read_text(encoding="utf-8")):
            if re.match(r"[a-z]+:", target):
                continue
            path = (project_root / name).parent / target if target else project_root / name
            inside = path.resolve().relative_to(project_root).as_posix()
            if inside not in tracked or (heading and heading not in heading_links(path)):
                broken.append(f"{name}: {target}#{heading}")
    assert not broken


def test_every_document_that_code_names_exists(project_root: Path, tracked: list[str]) -> None:
    missing = [
        f"{name}: {document}"
        for name in tracked
        if name.endswith((".py", ".md", ".yaml", ".html"))
        for document in NAMED_DOCUMENT.findall((project_root / name).read_text(encoding="utf-8"))
        if document not in tracked
    ]
    assert not missing


def test_documents_are_wrapped(project_root: Path, documents: list[str]) -> None:
    long = []
    for name in documents:
        if "/templates/" in name or pending(name, "width"):
            continue
        text = (project_root / name).read_text(encoding="utf-8")
        prose = re.sub(
            r"^( *)```.*?^\1```", lambda block: "\n" * block[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE
        )
        for number, line in enumerate(prose.splitlines(), 1):
            if len(line) > LONGEST_LINE and not line.startswith(("|", "    ", "#", "![")):
                long.append(f"{name}:{number}: {len(line)} characters")
    assert not long


def test_the_page_on_the_architecture_states_the_import_rules_in_force(project_root: Path) -> None:
    settings = tomllib.loads((project_root / "pyproject.toml").read_text(encoding="utf-8"))
    page = " ".join((project_root / "docs/architecture.md").read_text(encoding="utf-8").split())
    for contract in settings["tool"]["importlinter"]["contracts"]:
        for package in contract.get("containers", ()):
            assert f"{package}: `{' > '.join(contract['layers'])}`" in page
