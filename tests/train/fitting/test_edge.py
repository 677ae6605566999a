from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.toy_images import write_toy
from train.commands.fit import Task, fit_all
from train.data.dataset import load_dataset
from train.fitting.train_network import train_network
from train.networks.predictor import predict
from train.recipe import Recipe
from train.run.run_folder import read_json, seed_folder
from train.run.trained_run import load_trained_run

EDGE: dict[str, Any] = {
    "name": "toy-edge",
    "network": {"kind": "lite0", "side": 64, "outlier_blocks": [4]},
    "tone": "smooth",
    "augment": "exposure",
    "batch_size": 8,
    "seeds": [1],
    "rule": {"blocks": [4, 8], "folds": 2},
    "fine_tune": {"min_images": 1000, "epochs": 2, "frozen_blocks": 12},
    "operating_point": {"calibration": "pinned"},
}


def trained_run(folder: Path, **changes: Any) -> Path:
    write_toy(folder / "images", **{**EDGE, **changes})
    toy = folder / "images"
    fit_all(Task(recipe=str(toy / "toy.yaml"), manifest=toy / "manifest.csv", images=toy, out=folder / "run"))
    return folder / "run"


@pytest.fixture(scope="module")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A linear probe with penalties on int8 noise and image corruptions."""
    penalties = {"noise_penalty": 10.0, "change_penalty": 0.5}
    return trained_run(tmp_path_factory.mktemp("ruled"), rule={**EDGE["rule"], **penalties})


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_run(tmp_path_factory.mktemp("tuned"), fine_tune={**EDGE["fine_tune"], "min_images": 1})


@pytest.mark.parametrize("kind", ["ruled", "tuned"])
def test_a_run_read_back_says_what_it_said(kind: str, request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue(kind)
    seed = load_trained_run(run, 1)
    dataset = load_dataset(run.parent / "images" / "manifest.csv", run.parent / "images", seed.recipe.data)["test"]
    found = predict(seed.predictor, dataset.images)
    written = [line.split(",") for line in (seed_folder(run, 1) / "scores.csv").read_text().splitlines()[1:]]
    np.testing.assert_allclose(found.logits, [float(line[3]) for line in written], atol=1e-4)
    assert found.distances is not None
    np.testing.assert_allclose(found.distances, [float(line[4]) for line in written], rtol=1e-3)


def test_the_evidence_of_every_image_adds_up_to_its_logit(ruled: Path) -> None:
    seed = load_trained_run(ruled, 1)
    images = np.random.default_rng(0).integers(0, 256, (3, 224, 224)).astype(np.uint8)
    found = predict(seed.predictor, images)
    assert found.evidence is not None
    assert found.evidence.shape == (3, 2, 2)
    np.testing.assert_allclose(found.evidence.sum(axis=(1, 2)) + seed.predictor.bias, found.logits, atol=1e-4)


def test_few_images_leave_the_features_alone_and_have_no_batches(ruled: Path, tuned: Path) -> None:
    assert read_json(ruled / "seed-1" / "history.json") == []
    assert read_json(ruled / "seed-1" / "operating.json")["evidence_blocks"] == [4, 8]
    assert read_json(ruled / "seed-1" / "operating.json")["fake_quantized"]
    assert not read_json(tuned / "seed-1" / "operating.json")["fake_quantized"]
    assert len(read_json(tuned / "seed-1" / "history.json")) == 4
    assert read_json(tuned / "seed-1" / "operating.json")["evidence_blocks"] == [16]


def test_a_training_that_was_cut_off_goes_on_and_ends_where_it_would_have(tuned: Path, tmp_path: Path) -> None:
    whole = load_trained_run(tuned, 1)
    recipe: Recipe = whole.recipe
    parts = load_dataset(tuned.parent / "images" / "manifest.csv", tuned.parent / "images", recipe.data)

    class CutOff(Exception):
        pass

    def plug(step: Any) -> None:
        if step.done == 3:
            raise CutOff

    with pytest.raises(CutOff):
        train_network(recipe, parts, 1, on_step=plug, checkpoints=tmp_path)
    seen: list[int] = []
    again = train_network(recipe, parts, 1, on_step=lambda step: seen.append(step.done), checkpoints=tmp_path)
    assert seen == [3, 4]
    np.testing.assert_allclose(
        predict(again.predictor, parts["test"].images).logits,
        predict(whole.predictor, parts["test"].images).logits,
        atol=1e-5,
    )
