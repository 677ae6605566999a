from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.toy_images import toy_image
from train.commands.data import show_data
from train.data.card import contact_sheet, examine, write_card
from train.data.manifest import ManifestError, Row
from train.data.statistics import age_band, shortcuts
from train.recipe import DataSection

HEADER = ("file", "label", "patient_id", "split", "source", "view", "sex", "age", "tier")
SPLITS = ("train", "train", "validation", "test")


def sound_lines() -> list[list[str]]:
    labels, sexes = ("normal", "pneumonia"), "FM"
    return [
        [
            f"{i}.png",
            labels[i % 2],
            f"p{i // 2}",
            SPLITS[i // 2 % 4],
            "AB"[i // 40],
            "PA",
            sexes[i // 2 % 2],
            str(20 + i),
            "A",
        ]
        for i in range(80)
    ]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty images of source A, forty of B, which are darker and blurred."""
    folder, random = tmp_path_factory.mktemp("images"), np.random.default_rng(1)
    for i in range(80):
        image = toy_image(random, positive=i % 2 == 1)
        dark = cv2.GaussianBlur(image, (0, 0), 1.0) // 2
        cv2.imwrite(str(folder / f"{i}.png"), image if i < 40 else dark)
    return folder


def written(folder: Path, lines: list[list[str]], header: tuple[str, ...] = HEADER) -> Path:
    with (folder / "manifest.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *lines])
    return folder / "manifest.csv"


def test_a_sound_manifest_has_a_card_without_images_in_it(images: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "card"
    show_data(written(tmp_path, sound_lines()), images, out=out, recipe="")
    html, markdown = (out / "card.html").read_text(), (out / "card.md").read_text()
    for text in (html, markdown):
        assert "No faults: training would start." in text
        assert "contain patients' images" in text
        assert "acquisition style predicts" in text
        assert "20-29" in text
    assert html.count("<svg") == 3
    assert "<img" not in html
    assert "base64" not in html
    assert "http://" not in html.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert {path.name for path in out.glob("contact-*.png")} == {
        "contact-A-normal.png",
        "contact-A-pneumonia.png",
        "contact-B-normal.png",
        "contact-B-pneumonia.png",
    }
    assert "80 images" in capsys.readouterr().out


def test_style_predicts_a_source_that_was_acquired_differently_and_not_one_that_was_not(
    images: Path, tmp_path: Path
) -> None:
    card = examine(written(tmp_path, sound_lines()), images, DataSection())
    measured = {(cut.question, cut.among): cut.auc for cut in shortcuts(card.rows, card.images)}
    perfect = measured["source A or another", "normal images"]
    # Wilson's bound n / (n + z²) on the 20 images of the smaller class: DeLong has no variance here.
    assert (perfect.value, perfect.low, perfect.high) == pytest.approx((1, 20 / (20 + 1.959964**2), 1))
    mixed = [
        Row(line=row.line, file=row.file, label=row.label, patient=row.patient, source="CD"[place // 2 % 2])
        for place, row in enumerate(card.rows)
    ]
    chance = {(cut.question, cut.among): cut.auc for cut in shortcuts(mixed, card.images)}
    assert chance["source C or another", "normal images"].low < 0.6


def test_what_would_stop_training_is_in_the_card_and_raised_after_it(images: Path, tmp_path: Path) -> None:
    lines = sound_lines()
    lines[5][0], lines[6][1], lines[7][2], lines[8][7] = "absent.png", "maybe", "", "old"
    lines.append(["0.png", "normal", "other", "test", "A", "", "", "", ""])
    with pytest.raises(ManifestError) as caught:
        show_data(written(tmp_path, lines), images, out=tmp_path / "card", recipe="")
    faults = (
        "line 7 (absent.png)",
        "line 8 (6.png): label: expected normal or pneumonia, got 'maybe'",
        "line 9 (7.png): no patient_id",
        "got 'old'",
    )
    for fault in faults:
        assert fault in str(caught.value)
        assert fault.replace("'", "&#39;") in (tmp_path / "card" / "card.html").read_text()


def test_an_image_in_two_parts_is_shown_and_stops_training_if_the_recipe_says_so(images: Path, tmp_path: Path) -> None:
    manifest = written(tmp_path, [*sound_lines(), ["0.png", "normal", "other", "test", "A", "", "", "", ""]])
    card = examine(manifest, images, DataSection())
    assert card.faults == ()
    assert card.duplicates.lines == (("line 2 (0.png)", "line 82 (0.png)", "1.00", "train, test"),)
    assert "training would leave out 1 images" in card.duplicates.title
    strict = DataSection(near_duplicates="error")
    (fault,) = examine(manifest, images, strict).faults
    assert "line 2 (0.png) in train and line 82 (0.png) in test show one exposure" in fault


def test_a_manifest_of_files_alone_still_has_a_card(images: Path, tmp_path: Path) -> None:
    card = examine(written(tmp_path, [[line[0]] for line in sound_lines()], ("file",)), images, DataSection())
    write_card(card, tmp_path / "card")
    assert len(card.rows) == 80
    assert any("no column label" in fault for fault in card.faults)
    assert (tmp_path / "card" / "contact-images-unlabelled.png").is_file()


def test_a_manifest_without_any_of_its_images_has_a_card_that_states_so(images: Path, tmp_path: Path) -> None:
    card = examine(written(tmp_path, sound_lines()), tmp_path, DataSection())
    write_card(card, tmp_path / "card")
    assert len([fault for fault in card.faults if "no such image in" in fault]) == 80
    assert "0 images read" in (tmp_path / "card" / "card.md").read_text()


def test_names_in_the_manifest_cannot_inject_html(images: Path, tmp_path: Path) -> None:
    lines = sound_lines()
    lines[0][4] = "<script>alert(1)</script>"
    write_card(examine(written(tmp_path, lines), images, DataSection()), tmp_path / "card")
    assert "<script" not in (tmp_path / "card" / "card.html").read_text()


def test_younger_patients_are_left_out_and_counted(images: Path, tmp_path: Path) -> None:
    card = examine(written(tmp_path, sound_lines()), images, DataSection(min_years=30))
    assert (len(card.rows), card.left_out) == (70, 10)


def test_ages_fall_into_bands() -> None:
    ages = (None, 0.5, 6, 19.9, 20, 29.9, 79, 80, 101)
    expected = ["(not given)", "00-05", "06-19", "06-19", "20-29", "20-29", "70-79", "80 and over", "80 and over"]
    assert [age_band(age) for age in ages] == expected


def test_a_contact_sheet_has_rows_of_six() -> None:
    assert contact_sheet(np.zeros((7, 224, 224), np.uint8)).shape == (224, 672)


def test_an_absent_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="--images"):
        show_data(written(tmp_path, sound_lines()), tmp_path / "absent", out=None, recipe="")
