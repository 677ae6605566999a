"""Settings files: what is read, refused and printed."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from console.settings import ConfigError, Section, load_settings, settings_template


class Link(Section):
    """Where messages go.

    More about it.
    """

    host: str = Field("127.0.0.1", description="address")
    certificates: tuple[Path, ...] = Field((), description="files")


class Mapping(Section):
    """One mapping."""

    findings: tuple[str, ...] = Field((), description="names")
    at_least: float = Field(0.5, ge=0, le=1, description="score")


class Service(Section):
    """A service."""

    key_file: Path = Field(description="a secret", examples=["site.key"])
    link: Link = Link()
    mappings: tuple[Mapping, ...] = Field((Mapping(findings=("consolidation",)),), description="in order")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "service.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as refused:
        load_settings(path, Service, program="pneumoflag-x")
    return str(refused.value)


def test_every_relative_path_counts_from_the_folder_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "key_file: k\nlink: {certificates: [a.pem, /b.pem]}\n")
    settings = load_settings(path, Service, program="pneumoflag-x")
    assert settings.key_file == tmp_path / "k"
    assert settings.link.certificates == (tmp_path / "a.pem", Path("/b.pem"))


def test_every_wrong_setting_has_a_line_with_file_and_key(tmp_path: Path) -> None:
    path = written(tmp_path, "lnk: {}\nmappings: [{at_least: 2}]\n")
    assert refusal(path).splitlines() == [
        f"{path}: key_file: required setting is missing; add it",
        f"{path}: mappings.0.at_least: Input should be less than or equal to 1",
        f"{path}: lnk: unknown setting; `pneumoflag-x config` prints every setting",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected settings (`name: value`), got NoneType"),
        ("- a", "expected settings (`name: value`), got list"),
        ("a: [", "not YAML"),
        ("\t", "not YAML"),
    ],
)
def test_a_file_without_settings_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    assert refusal(path).startswith(f"{path}: {message}")


def test_a_file_that_is_not_text_or_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "service.yaml"
    assert refusal(path).startswith(f"{path}: cannot be read (No such file or directory); `pneumoflag-x config`")
    path.write_bytes(b"\xff\xfe")
    assert refusal(path).startswith(f"{path}: not YAML")


def test_the_template_explains_every_setting_and_loads(tmp_path: Path) -> None:
    text = settings_template(Service)
    assert text.splitlines() == [
        "key_file: site.key                            # required: a secret",
        "",
        "# Where messages go.",
        "link:",
        "  host: 127.0.0.1                             # address",
        "  certificates: []                            # files",
        "mappings:  # in order",
        "  - findings: [consolidation]",
        "    at_least: 0.5",
    ]
    settings = load_settings(written(tmp_path, text), Service, program="pneumoflag-x")
    assert settings == Service(key_file=tmp_path / "site.key")
