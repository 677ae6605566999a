"""What export reads of a run: typed, complete, and refused where a file is damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support.toy_images import COUNTS
from train.run.records import Counts
from train.run.report import released_network, summarise
from train.run.run_folder import RunError, read_json, seed_folder
from train.run.trained_run import load_trained_run


def test_a_run_comes_back_with_everything_export_needs(toy_run: Path) -> None:
    run = load_trained_run(toy_run, 1)
    assert (run.seed, run.seeds, run.recipe.name) == (1, (1, 2), "toy")
    assert run.parts["test"].patients == 6
    assert run.operating.images == Counts(normal=6, pneumonia=6, patients=6)
    assert run.metrics.test.n == COUNTS["test"]
    assert run.environment.data_digest == run.parts["train"].digest
    assert run.calibration_images.images.shape[1:] == (224, 224)
    assert len(run.calibration_images.digests) == len(run.calibration_images.images)
    assert run.operating_logits.labels.shape == run.operating_logits.logits.shape == (12,)
    assert set(run.images["part"]) == {"train", "operating", "test"}
    assert run.summary == summarise(toy_run)
    assert all(run.histories[seed] for seed in run.seeds)
    assert run.image_folder.is_dir()


def test_without_a_seed_the_released_network_is_loaded(toy_run: Path) -> None:
    assert load_trained_run(toy_run).seed == released_network(toy_run, summarise(toy_run))


def test_without_a_chosen_operating_logit_images_above_zero_are_positive(toy_run: Path) -> None:
    run = load_trained_run(toy_run, 1)
    assert run.operating.operating_logit is None
    assert 0 < run.operating_logit < 1e-300


def test_test_scores_are_found_by_digest_and_decided_as_the_network_decides(toy_run: Path) -> None:
    run = load_trained_run(toy_run, 1)
    assert len(run.test_scores) == COUNTS["test"]
    decided = run.test_scores["logit"].to_numpy() >= run.operating_logit
    np.testing.assert_array_equal(run.test_scores["decided"].to_numpy() == 1, decided)


def test_a_file_of_another_version_is_named_with_the_field_at_fault(toy_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(toy_run, copy)
    path = seed_folder(copy, 1) / "operating.json"
    facts = read_json(path)
    del facts["thresholds"]
    path.write_text(json.dumps(facts))
    with pytest.raises(RunError, match=r"operating\.json: .*thresholds"):
        load_trained_run(copy, 1)


@pytest.mark.parametrize("name", ["calibration.npz", "images.csv"])
def test_a_missing_file_is_named(toy_run: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "run"
    shutil.copytree(toy_run, copy)
    (copy / name).unlink()
    run = load_trained_run(copy, 1)
    with pytest.raises(RunError, match=name):
        _ = run.images if name == "images.csv" else run.calibration_images
