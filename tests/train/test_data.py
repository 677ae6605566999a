from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.toy_films import HEADER, Line, toy_lines, write_manifest
from train.data import ManifestError, load_films, read_rows
from train.recipe import DataSection, OperatingRows, find_recipe, load_recipe

SECTION = DataSection(split_column="paper_protocol", operating=OperatingRows(column="split", among=("validation",)))


def faulty(folder: Path, films: Path, lines: list[Line], header: tuple[str, ...] = HEADER) -> str:
    """What is said of a manifest with these lines."""
    with pytest.raises(ManifestError) as caught:
        load_films(write_manifest(folder, lines, header), films, SECTION)
    return str(caught.value)


def changed(index: int, **fields: str) -> list[Line]:
    lines = [dict(zip(HEADER, line, strict=True)) for line in toy_lines()]
    lines[index].update(fields)
    return [tuple(line[name] for name in HEADER) for line in lines]  # type: ignore[misc]


def test_films_come_out_in_parts_with_labels_patients_and_digests(toy: Path) -> None:
    told: list[tuple[int, int]] = []
    films = load_films(toy / "manifest.csv", toy, SECTION, on_film=lambda done, of: told.append((done, of)))
    assert {part: len(found) for part, found in films.items()} == {"train": 16, "operating": 12, "test": 12}
    assert films["train"].images.shape == (16, 224, 224)
    assert films["train"].images.dtype == np.uint8
    assert films["train"].labels.tolist() == [0, 1] * 8
    assert films["test"].counts() == {"normal": 6, "pneumonia": 6, "patients": 6}
    assert len(set(films["train"].digests)) == 16
    assert told[-1] == (40, 40)


def test_no_patient_is_in_two_parts(toy: Path) -> None:
    films = load_films(toy / "manifest.csv", toy, SECTION)
    patients = [set(part.patients) for part in films.values()]
    assert not patients[0] & patients[1] | patients[0] & patients[2] | patients[1] & patients[2]


def test_rows_of_no_part_are_left_alone(toy: Path, tmp_path: Path) -> None:
    unused = ("images/nowhere.png", "unknown", "x", "other", "")
    rows = read_rows(write_manifest(tmp_path, [*toy_lines(), unused]), SECTION)
    assert len(rows) == 40


def test_the_digest_changes_with_a_label_and_with_a_film(toy: Path, tmp_path: Path) -> None:
    digest = load_films(toy / "manifest.csv", toy, SECTION)["train"].digest
    relabelled = write_manifest(tmp_path, changed(0, label="pneumonia"))
    assert load_films(relabelled, toy, SECTION)["train"].digest != digest
    swapped = write_manifest(tmp_path, changed(0, file="images/train-2.png"))
    assert load_films(swapped, toy, SECTION)["train"].digest != digest


def test_a_row_without_its_film_is_named(toy: Path, tmp_path: Path) -> None:
    said = faulty(tmp_path, toy, changed(3, file="images/gone.png"))
    assert "line 5 (images/gone.png)" in said
    assert "correct --images" in said


def test_a_label_that_is_neither_is_named(toy: Path, tmp_path: Path) -> None:
    assert "line 2 (images/train-0.png): label 'maybe', normal or pneumonia expected" in faulty(
        tmp_path, toy, changed(0, label="maybe")
    )


def test_a_film_that_does_not_decode_is_named(toy: Path, tmp_path: Path) -> None:
    (toy / "images" / "broken.png").write_bytes(b"\x89PNG but no more")
    said = faulty(tmp_path, toy, changed(0, file="images/broken.png"))
    assert "line 2 (images/broken.png): does not decode" in said
    assert "delete the row" in said


def test_a_class_that_is_missing_in_a_part_is_named(toy: Path, tmp_path: Path) -> None:
    lines = [line for line in toy_lines() if not (line[4] == "test" and line[1] == "normal")]
    assert "test: no normal film; both classes are needed" in faulty(tmp_path, toy, lines)


def test_a_patient_in_two_parts_is_named_with_the_rows(toy: Path, tmp_path: Path) -> None:
    said = faulty(tmp_path, toy, changed(16, patient_id="train-0"))
    assert "patient train-0 is in test and train" in said
    assert "line 2 (images/train-0.png)" in said
    assert "line 18 (images/test-0.png)" in said
    assert "one part" in said


def test_a_row_without_a_patient_is_named(toy: Path, tmp_path: Path) -> None:
    assert "line 2 (images/train-0.png): no patient_id" in faulty(tmp_path, toy, changed(0, patient_id=" "))


def test_all_faults_are_told_at_once_but_not_endlessly(toy: Path, tmp_path: Path) -> None:
    lines = [(f"images/gone-{i}.png", *line[1:]) for i, line in enumerate(toy_lines())]
    said = faulty(tmp_path, toy, lines)
    assert "40 fault(s)" in said
    assert "and 20 more" in said


def test_a_missing_column_is_named(toy: Path, tmp_path: Path) -> None:
    header = ("file", "label", "patient_id", "split", "something")
    assert "no column paper_protocol" in faulty(tmp_path, toy, toy_lines(), header)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x81"])
def test_what_is_no_table_is_named(tmp_path: Path, content: bytes) -> None:
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
