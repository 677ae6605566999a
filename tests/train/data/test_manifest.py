from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.toy_images import toy_lines, write_manifest
from train.data.dataset import read_rows
from train.data.manifest import ManifestError, years
from train.recipe import DataSection, OperatingRows, find_recipe, load_recipe

SECTION = DataSection(split_column="paper_protocol", operating=OperatingRows(column="split", among=("validation",)))


def test_rows_of_no_part_are_left_alone(toy: Path, tmp_path: Path) -> None:
    unused = ("images/nowhere.png", "unknown", "x", "other", "")
    rows = read_rows(write_manifest(tmp_path, [*toy_lines(), unused]), SECTION)
    assert len(rows) == 40


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x81"])
def test_a_file_that_is_no_table_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.csv").write_bytes(content)
    with pytest.raises(ManifestError, match=r"manifest\.csv"):
        read_rows(tmp_path / "manifest.csv", SECTION)


def test_an_absent_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="--manifest"):
        read_rows(tmp_path / "absent.csv", SECTION)


def test_the_studys_parts_have_the_studys_counts(shared_data: Path) -> None:
    rows = read_rows(shared_data / "paediatric" / "manifest.csv", load_recipe(find_recipe("study")).data)
    counted = {(part, label): 0 for part in ("train", "operating", "test") for label in ("normal", "pneumonia")}
    for row in rows:
        counted[row.part, row.label] += 1
    assert [counted["train", "normal"], counted["train", "pneumonia"]] == [900, 900]
    assert [counted["test", "normal"], counted["test", "pneumonia"]] == [231, 300]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("64", 64.0), ("0.5", 0.5), ("064Y", 64.0), ("006M", 0.5), ("", None), ("-3", None), ("64 years", None)],
)
def test_ages_are_years_or_as_dicom_writes_them(text: str, expected: float | None) -> None:
    assert years(text) == expected
