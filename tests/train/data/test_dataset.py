from __future__ import annotations

from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest

from tests.support.dicom_files import make_dx
from tests.support.toy_images import (
    HEADER,
    Line,
    toy_lines,
    write_manifest,
)
from train.data.dataset import (
    ManifestError,
    load,
    load_dataset,
)
from train.recipe import DataSection, OperatingRows

SECTION = DataSection(split_column="paper_protocol", operating=OperatingRows(column="split", among=("validation",)))


def faulty(folder: Path, images: Path, lines: list[Line], header: tuple[str, ...] = HEADER) -> str:
    """Return the message about a manifest with these lines."""
    with pytest.raises(ManifestError) as caught:
        load_dataset(write_manifest(folder, lines, header), images, SECTION)
    return str(caught.value)


def changed(index: int, **fields: str) -> list[Line]:
    lines = [dict(zip(HEADER, line, strict=True)) for line in toy_lines()]
    lines[index].update(fields)
    return [tuple(line[name] for name in HEADER) for line in lines]  # type: ignore[misc]


def test_images_come_out_in_parts_with_labels_patients_and_digests(toy: Path) -> None:
    progress: list[tuple[int, int]] = []
    parts = load_dataset(toy / "manifest.csv", toy, SECTION, on_image=lambda done, of: progress.append((done, of)))
    assert {part: len(dataset) for part, dataset in parts.items()} == {"train": 16, "operating": 12, "test": 12}
    assert parts["train"].images.shape == (16, 224, 224)
    assert parts["train"].images.dtype == np.uint8
    assert parts["train"].labels.tolist() == [0, 1] * 8
    assert parts["test"].counts() == {"normal": 6, "pneumonia": 6, "patients": 6}
    assert len(set(parts["train"].digests)) == 16
    assert progress[-1] == (40, 40)


def test_no_patient_is_in_two_parts(toy: Path) -> None:
    parts = load_dataset(toy / "manifest.csv", toy, SECTION)
    patients = [set(part.patients) for part in parts.values()]
    assert not patients[0] & patients[1] | patients[0] & patients[2] | patients[1] & patients[2]


def test_the_digest_changes_with_a_label_and_with_an_image(toy: Path, tmp_path: Path) -> None:
    digest = load_dataset(toy / "manifest.csv", toy, SECTION)["train"].digest
    relabelled = write_manifest(tmp_path, changed(0, label="pneumonia"))
    assert load_dataset(relabelled, toy, SECTION)["train"].digest != digest
    swapped = write_manifest(tmp_path, changed(0, file="images/train-2.png"))
    assert load_dataset(swapped, toy, SECTION)["train"].digest != digest


def test_a_row_without_its_image_is_named(toy: Path, tmp_path: Path) -> None:
    message = faulty(tmp_path, toy, changed(3, file="images/gone.png"))
    assert "line 5 (images/gone.png)" in message
    assert "correct --images" in message


def test_a_label_that_is_neither_is_named(toy: Path, tmp_path: Path) -> None:
    assert "line 2 (images/train-0.png): label: expected normal or pneumonia, got 'maybe'" in faulty(
        tmp_path, toy, changed(0, label="maybe")
    )


def test_an_image_that_does_not_decode_is_named(toy: Path, tmp_path: Path) -> None:
    (toy / "images" / "broken.png").write_bytes(b"\x89PNG but no more")
    message = faulty(tmp_path, toy, changed(0, file="images/broken.png"))
    assert "line 2 (images/broken.png): does not decode" in message
    assert "delete the row" in message


def test_a_class_that_is_missing_in_a_part_is_named(toy: Path, tmp_path: Path) -> None:
    lines = [line for line in toy_lines() if not (line[4] == "test" and line[1] == "normal")]
    assert "test: no normal image; both classes are needed" in faulty(tmp_path, toy, lines)


def test_a_patient_in_two_parts_is_named_with_the_rows(toy: Path, tmp_path: Path) -> None:
    message = faulty(tmp_path, toy, changed(16, patient_id="train-0"))
    assert "patient train-0 is in test and train" in message
    assert "line 2 (images/train-0.png)" in message
    assert "line 18 (images/test-0.png)" in message
    assert "one part" in message


def test_a_row_without_a_patient_is_named(toy: Path, tmp_path: Path) -> None:
    assert "line 2 (images/train-0.png): no patient_id" in faulty(tmp_path, toy, changed(0, patient_id=" "))


def test_all_faults_are_listed_at_once_up_to_a_limit(toy: Path, tmp_path: Path) -> None:
    lines = [(f"images/gone-{i}.png", *line[1:]) for i, line in enumerate(toy_lines())]
    message = faulty(tmp_path, toy, lines)
    assert "40 fault(s)" in message
    assert "and 20 more" in message


def test_a_missing_column_is_named(toy: Path, tmp_path: Path) -> None:
    header = ("file", "label", "patient_id", "split", "something")
    assert "no column paper_protocol" in faulty(tmp_path, toy, toy_lines(), header)


MORE = ("source", "tier", "view", "sex", "age", "cluster_id")


def with_more(folder: Path, changes: dict[int, dict[str, str]] | None = None) -> Path:
    """The toy manifest with the columns that a manifest may have; each patient's images are one cluster."""
    lines = []
    for index, line in enumerate(toy_lines()):
        values = {"source": "A", "tier": "B", "view": "AP", "sex": "F", "age": "64", "cluster_id": f"c{line[2]}"}
        values |= dict(zip(HEADER, line, strict=True)) | (changes or {}).get(index, {})
        lines.append(tuple(values[name] for name in (*HEADER, *MORE)))
    return write_manifest(folder, cast("list[Line]", lines), (*HEADER, *MORE))


def test_the_manifests_columns_are_carried_along_with_each_image(toy: Path, tmp_path: Path) -> None:
    changes = {0: {"source": "B", "tier": "A", "view": "PA", "sex": "M", "age": "018M"}, 1: {"age": "", "sex": ""}}
    dataset = load_dataset(with_more(tmp_path, changes), toy, SECTION)["train"]
    table = dataset.table
    assert table[["source", "tier", "view"]].iloc[:2].to_numpy().tolist() == [["B", "A", "PA"], ["A", "B", "AP"]]
    assert (dataset.sources[:2], dataset.tiers[:2], dataset.views[:2]) == (("B", "A"), ("A", "B"), ("PA", "AP"))
    assert table["sex"].tolist()[:3] == ["M", "", "F"]
    assert dataset.ages[0] == 1.5
    assert np.isnan(dataset.ages[1])


def test_columns_that_the_manifest_lacks_are_blank(toy: Path) -> None:
    dataset = load_dataset(toy / "manifest.csv", toy, SECTION)["test"]
    assert set(dataset.table[["source", "tier", "view", "sex"]].to_numpy().ravel()) == {""}
    assert np.isnan(dataset.ages).all()


def test_a_cluster_of_duplicates_in_two_parts_is_named_with_the_rows(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        load_dataset(with_more(tmp_path, {16: {"cluster_id": "ctrain-0"}}), toy, SECTION)
    assert "cluster ctrain-0 is in test and train" in str(caught.value)
    assert "line 2 (images/train-0.png)" in str(caught.value)
    assert "line 18 (images/test-0.png)" in str(caught.value)


def test_a_part_far_down_a_patients_rows_is_still_shown(toy: Path, tmp_path: Path) -> None:
    lines = [
        (*line[:2], "one" if line[3] == "train" or i == 20 else line[2], *line[3:])
        for i, line in enumerate(toy_lines())
    ]
    assert "line 22 (images/test-4.png)" in faulty(tmp_path, toy, cast("list[Line]", lines))


def test_a_cluster_stands_for_an_unknown_patient(toy: Path, tmp_path: Path) -> None:
    changes = {index: {"patient_id": ""} for index in range(4)}
    dataset = load_dataset(with_more(tmp_path, changes), toy, SECTION)["train"]
    assert dataset.patients[:5] == ("cluster ctrain-0",) * 2 + ("cluster ctrain-1",) * 2 + ("train-2",)


def test_a_row_without_patient_and_cluster_is_named(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"line 2 \(images/train-0\.png\): no patient_id; .*cluster_id"):
        load_dataset(with_more(tmp_path, {0: {"patient_id": "", "cluster_id": ""}}), toy, SECTION)


def test_an_age_that_cannot_be_parsed_is_named(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ManifestError, match=r"line 3 \(images/train-1\.png\): age: expected years, such as 64 or 064Y, got 'old'"
    ):
        load_dataset(with_more(tmp_path, {1: {"age": "old"}}), toy, SECTION)


def test_younger_patients_are_left_out_and_counted_and_those_without_an_age_stay(toy: Path, tmp_path: Path) -> None:
    changes = {0: {"age": "19"}, 1: {"age": "20"}, 2: {"age": ""}, 16: {"age": "5"}}
    loaded = load(with_more(tmp_path, changes), toy, SECTION.model_copy(update={"min_years": 20}))
    assert {part: len(dataset) for part, dataset in loaded.parts.items()} == {"train": 15, "operating": 12, "test": 11}
    assert loaded.left_out == {"younger than 20 years": 2}
    assert "images/train-0.png" not in loaded.parts["train"].files


@pytest.fixture
def leaky(toy: Path) -> list[Line]:
    """A training image that shows, mirrored and brighter, what a test image of another patient shows."""
    image = cv2.imread(str(toy / "images" / "test-0.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(toy / "images" / "copy.png"), cv2.LUT(image[:, ::-1], np.arange(256, dtype=np.uint8) // 2 + 60))
    return [("images/copy.png", "normal", "somebody", "train", "train"), *toy_lines()]


def test_a_near_duplicate_of_a_test_image_is_left_out_of_training_and_counted(
    toy: Path, tmp_path: Path, leaky: list[Line]
) -> None:
    loaded = load(write_manifest(tmp_path, leaky), toy, SECTION)
    assert {part: len(dataset) for part, dataset in loaded.parts.items()} == {"train": 16, "operating": 12, "test": 12}
    assert loaded.left_out == {"near-duplicate of an image in another part": 1}


def test_a_near_duplicate_in_two_parts_is_an_error_where_the_recipe_says_so(
    toy: Path, tmp_path: Path, leaky: list[Line]
) -> None:
    strict = SECTION.model_copy(update={"near_duplicates": "error"})
    with pytest.raises(ManifestError) as caught:
        load(write_manifest(tmp_path, leaky), toy, strict)
    assert (
        "line 2 (images/copy.png) in train and line 19 (images/test-0.png) in test show one exposure, mirrored"
        in str(caught.value)
    )


def test_a_class_that_duplicates_leave_empty_is_named(toy: Path, tmp_path: Path, leaky: list[Line]) -> None:
    lines = [line for line in leaky if line[3] != "train" or line[1] == "pneumonia" or line[0] == "images/copy.png"]
    assert "train: no normal image" in faulty(tmp_path, toy, lines)


def test_dicom_rows_are_read_as_the_box_reads_them(toy: Path, tmp_path: Path) -> None:
    make_dx(toy / "images" / "image.dcm")
    dataset = load_dataset(write_manifest(tmp_path, changed(0, file="images/image.dcm")), toy, SECTION)["train"]
    assert dataset.files[0] == "images/image.dcm"
    assert dataset.images[0, 0, 0] < 10
    assert dataset.images[0, -1, -1] > 245


def test_a_byte_order_mark_and_blanks_are_no_part_of_names(toy: Path, tmp_path: Path) -> None:
    text = (toy / "manifest.csv").read_text().replace(",train-0,", ", train-0 ,")
    (tmp_path / "manifest.csv").write_text(text, encoding="utf-8-sig")
    assert load_dataset(tmp_path / "manifest.csv", toy, SECTION)["train"].patients[0] == "train-0"


def test_images_of_a_source_are_left_out_of_every_part_on_request_and_counted(toy: Path, tmp_path: Path) -> None:
    manifest = with_more(tmp_path, {index: {"source": "B"} for index in (0, 1, 16, 17, 18, 30)})
    loaded = load(manifest, toy, SECTION, without_sources=("B",))
    assert {part: len(dataset) for part, dataset in loaded.parts.items()} == {"train": 14, "operating": 11, "test": 9}
    assert loaded.left_out == {"source B": 6}
    assert {source for dataset in loaded.parts.values() for source in dataset.sources} == {"A"}
    assert load(manifest, toy, SECTION).left_out == {}


def test_a_source_that_the_manifest_does_not_have_is_named_with_those_it_has(toy: Path, tmp_path: Path) -> None:
    manifest = with_more(tmp_path, {0: {"source": "B"}, 1: {"source": ""}})
    with pytest.raises(ManifestError, match=r"manifest\.csv: no image of source b, C; name one of A, B$"):
        load(manifest, toy, SECTION, without_sources=("b", "A", "C"))
    with pytest.raises(ManifestError, match="no image of source A; its rows name no source"):
        load(toy / "manifest.csv", toy, SECTION, without_sources=("A",))


def test_a_class_that_a_source_left_out_leaves_empty_is_named(toy: Path, tmp_path: Path) -> None:
    manifest = with_more(tmp_path, {index: {"source": "B"} for index in range(0, 16, 2)})
    with pytest.raises(ManifestError, match="train: no normal image"):
        load(manifest, toy, SECTION, without_sources=("B",))
