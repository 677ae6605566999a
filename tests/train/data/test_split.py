from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.toy_images import toy_image
from train.commands.data import split_data
from train.data.dataset import load_dataset
from train.data.manifest import ManifestError, Row
from train.data.split import (
    SplitError,
    parse_shares,
    split,
    split_manifest,
)
from train.recipe import DataSection

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}


def rows_of(patients: int, images: int = 1, *, source: str = "A", label: str = "normal") -> list[Row]:
    return [
        Row(
            line=2 + i,
            file=f"{source}{label}{i}.png",
            label=label,
            patient=f"{source}{label}{i // images}",
            source=source,
        )
        for i in range(patients * images)
    ]


def collection() -> list[Row]:
    return [
        *rows_of(300, 2),
        *rows_of(100, label="pneumonia"),
        *rows_of(200, source="B"),
        *rows_of(40, 3, source="B", label="pneumonia"),
    ]


def test_labels_and_sources_keep_their_mix_in_each_part() -> None:
    rows = collection()
    parts = split(rows, [], shares=SHARES, seed=1)
    for source in "AB":
        for label in ("normal", "pneumonia"):
            stratum = [p for p, row in zip(parts, rows, strict=True) if (row.source, row.label) == (source, label)]
            for part, share in SHARES.items():
                assert stratum.count(part) / len(stratum) == pytest.approx(share, abs=0.03)


def test_no_patient_cluster_or_pair_of_duplicates_is_divided() -> None:
    rows = collection()
    rows += [Row(line=5000 + i, file=f"c{i}", label="pneumonia", patient="", cluster=f"c{i // 4}") for i in range(40)]
    pairs = [(0, 450), (450, len(rows) - 1)]
    parts = split(rows, pairs, shares=SHARES, seed=2)
    for of in (lambda row: row.patient, lambda row: row.cluster):
        homes: dict[str, set[str]] = {}
        for row, part in zip(rows, parts, strict=True):
            homes.setdefault(of(row), set()).add(part)
        assert all(len(home) == 1 for name, home in homes.items() if name)
    assert parts[0] == parts[450] == parts[-1]


def test_rows_split_one_by_one_would_divide_patients() -> None:
    rows = collection()
    alone = np.random.default_rng(0).choice(list(SHARES), len(rows), p=list(SHARES.values()))
    homes: dict[str, set[str]] = {}
    for row, part in zip(rows, alone, strict=True):
        homes.setdefault(row.patient, set()).add(part)
    assert any(len(home) > 1 for home in homes.values())


def test_the_same_seed_splits_alike_and_another_does_not() -> None:
    rows = collection()
    first = split(rows, [], shares=SHARES, seed=3)
    assert split(rows, [], shares=SHARES, seed=3) == first
    assert split(rows, [], shares=SHARES, seed=4) != first


def test_a_patient_with_most_images_still_goes_to_one_part() -> None:
    parts = split(rows_of(1, 10), [], shares=SHARES, seed=0)
    assert set(parts) == {"train"}


@pytest.mark.parametrize(
    "text", ["", "train", "train=.5", "train=.5,test=.6", "train=1,test=0", "train=.5,train=.5", "=1", "train=a"]
)
def test_shares_that_cannot_be_used_are_named(text: str) -> None:
    with pytest.raises(SplitError, match="--share"):
        parse_shares(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty patients with two images each, one image there twice under two patients, and no split."""
    random = np.random.default_rng(5)
    lines = []
    for index in range(40):
        positive = index % 4 > 1
        cv2.imwrite(str(tmp_path / f"{index}.png"), toy_image(random, positive=positive))
        lines.append((f"{index}.png", "pneumonia" if positive else "normal", f"p{index // 2}", f"note {index}"))
    cv2.imwrite(str(tmp_path / "39.png"), cv2.imread(str(tmp_path / "3.png"), cv2.IMREAD_GRAYSCALE)[:, ::-1])
    with (tmp_path / "manifest.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("file", "label", "patient_id", "remark"), *lines])
    return tmp_path


def test_the_new_manifest_loads_and_keeps_its_other_columns(folder: Path) -> None:
    out = folder / "split.csv"
    counts = split_manifest(folder / "manifest.csv", folder, out, shares=SHARES, seed=1)
    assert sum(counts.values()) == 40
    with out.open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["remark"] for line in lines] == [f"note {index}" for index in range(40)]
    assert lines[3]["split"] == lines[39]["split"]
    assert lines[3]["cluster_id"] == lines[39]["cluster_id"] == "duplicate-5"
    assert lines[4]["cluster_id"] == ""
    assert sum(len(part) for part in load_dataset(out, folder, DataSection()).values()) == 40


def test_an_existing_file_is_not_overwritten(folder: Path) -> None:
    with pytest.raises(ManifestError, match="already exists"):
        split_data(folder / "manifest.csv", folder, out=folder / "manifest.csv", share="train=.5,test=.5", seed=1)


def test_rows_without_a_patient_are_named(folder: Path) -> None:
    manifest = folder / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("0.png,normal,p0", "0.png,normal,", 1))
    with pytest.raises(ManifestError, match=r"line 2 \(0\.png\): no patient_id"):
        split_manifest(manifest, folder, folder / "new.csv", shares=SHARES, seed=1)
