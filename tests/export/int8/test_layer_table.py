from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from export.build import BuildRequest, ExportError, build
from export.bundle.writer import make_key, read_signing_key
from export.int8.layer_error import table_beside, worst_layers
from export.int8.parity import Parity
from export.int8.predictions import PredictionsByName
from train.run.trained_run import load_trained_run


def flipped(_: object, predictions: PredictionsByName, **_named: object) -> Parity:
    """Half of the labels."""
    differences = {"largest_score_difference": 1.0, "largest_logit_difference": 9.0}
    count = sum(len(one.dataset) for one in predictions.values())
    return Parity(images=count, label_flips=count // 2, flag_flips=0, interpreter="", **differences)


def test_when_int8_changes_too_much_the_worst_layers_are_named_and_all_written_beside(
    toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_key(tmp_path / "test.key")
    monkeypatch.setattr("export.int8.parity.compare", flipped)
    order = BuildRequest(run=toy_run, out=tmp_path / "out" / "toy.bundle", key=read_signing_key(tmp_path / "test.key"))
    with pytest.raises(
        ExportError, match=r"flips \d+ of .* worst layers: .*logits \(FULLY_CONNECTED\): noise"
    ) as failed:
        build(order)
    assert [path.name for path in order.out.parent.iterdir()] == ["toy.layers.csv"]
    with table_beside(order.out).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["layer"] for row in rows] == ["conv1", "pool1", "flatten", "logits"]
    assert all(row["layer"] in str(failed.value) for row in rows)
    assert f"all in {table_beside(order.out)}" in str(failed.value)


def test_a_table_that_cannot_be_written_does_not_hide_what_failed(toy_run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    images = np.random.default_rng(0).integers(0, 256, (4, 224, 224)).astype(np.uint8)
    run = load_trained_run(toy_run, 1)
    message = worst_layers(run, images, table_beside(tmp_path / "file" / "toy.bundle"))
    assert "worst layers: " in message
    assert "cannot be written" in message


def test_the_table_stands_beside_a_bundle_of_one_file_or_a_folder() -> None:
    assert table_beside(Path("a/study-2.bundle")) == Path("a/study-2.layers.csv")
    assert table_beside(Path("a/v1.2")) == Path("a/v1.2.layers.csv")
