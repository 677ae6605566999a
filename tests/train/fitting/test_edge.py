from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.toy_images import write_toy
from train.commands.fit import Task, fit_all
from train.data.dataset import load_dataset
from train.fitting.fine_tune import MEAN, drawn_batch, trainable_network
from train.fitting.sampling import chances, sampler
from train.fitting.train_network import classifier_of, train_network
from train.networks.efficientnet_lite0 import backbone, load_imagenet
from train.networks.predictor import predict
from train.recipe import FineTuneSection, Recipe, SamplingSection, edge_network
from train.run.run_folder import read_json
from train.run.trained_run import load_trained_run

EDGE: dict[str, Any] = {
    "name": "toy-edge",
    "network": {"architecture": "lite0", "side": 64, "outlier_blocks": [4]},
    "augment": "exposure",
    "batch_size": 8,
    "seeds": [1],
    "fine_tune": {"passes": 32, "frozen_blocks": 12, "learning_rate": 5e-3, "averaging": 0.5},
    "operating_point": {"calibration": "pinned"},
}


def trained_run(folder: Path, **changes: Any) -> Path:
    write_toy(folder / "images", **{**EDGE, **changes})
    toy = folder / "images"
    fit_all(Task(recipe=str(toy / "toy.yaml"), manifest=toy / "manifest.csv", images=toy, out=folder / "run"))
    return folder / "run"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_run(tmp_path_factory.mktemp("tuned"))


def test_a_run_read_back_predicts_as_it_was_written(tuned: Path) -> None:
    seed = load_trained_run(tuned, 1)
    dataset = load_dataset(tuned.parent / "images" / "manifest.csv", tuned.parent / "images", seed.recipe.data)["test"]
    outputs = predict(seed.predictor, dataset.images)
    written = [line.split(",") for line in (tuned / "seed-1" / "scores.csv").read_text().splitlines()[1:]]
    np.testing.assert_allclose(outputs.logits, [float(line[3]) for line in written], atol=1e-4)
    assert outputs.distances is not None
    np.testing.assert_allclose(outputs.distances, [float(line[4]) for line in written], rtol=1e-3)


def test_the_evidence_of_every_image_adds_up_to_its_logit(tuned: Path) -> None:
    seed = load_trained_run(tuned, 1)
    images = np.random.default_rng(0).integers(0, 256, (3, 224, 224)).astype(np.uint8)
    outputs = predict(seed.predictor, images)
    assert outputs.evidence is not None
    assert outputs.evidence.shape == (3, 2, 2)
    np.testing.assert_allclose(outputs.evidence.sum(axis=(1, 2)) + seed.predictor.bias, outputs.logits, atol=1e-4)


def test_the_assembled_network_predicts_as_the_one_that_was_trained(tuned: Path) -> None:
    predictor = load_trained_run(tuned, 1).predictor
    classifier = classifier_of(predictor)
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64)).astype(np.uint8)
    model = trainable_network(edge_network(Recipe.model_validate({**_toy(tuned)})), FineTuneSection(), 1, classifier)
    small = (images[..., None].astype(np.float32) - MEAN) / 255
    inside = predictor.network
    evidence = np.asarray(inside(small)[0])
    np.testing.assert_allclose(
        np.asarray(model(small))[:, 0], evidence.sum(axis=(1, 2, 3)) + classifier.bias, atol=1e-4
    )


def _toy(run: Path) -> dict[str, Any]:
    return load_trained_run(run, 1).recipe.model_dump()


def test_the_history_has_a_step_for_each_batch_and_a_rate_that_warms_up_and_falls(tuned: Path) -> None:
    history = read_json(tuned / "seed-1" / "history.json")
    assert [step["done"] for step in history] == [1, 2, 3, 4]
    rates = [step["learning_rate"] for step in history]
    assert rates[0] < rates[1] > rates[2] > rates[3]


def test_the_same_seed_gives_the_same_network_and_another_seed_another(tuned: Path) -> None:
    recipe = load_trained_run(tuned, 1).recipe
    parts = load_dataset(tuned.parent / "images" / "manifest.csv", tuned.parent / "images", recipe.data)
    written = predict(load_trained_run(tuned, 1).predictor, parts["test"].images).logits
    again, other = (
        predict(train_network(recipe, parts, seed).predictor, parts["test"].images).logits for seed in (1, 2)
    )
    np.testing.assert_allclose(again, written, atol=1e-5)
    assert np.abs(other - written).max() > 1e-4


def test_batch_norms_keep_their_statistics_and_learn_their_scale(tuned: Path) -> None:
    body, fresh = classifier_of(load_trained_run(tuned, 1).predictor).body, backbone(size=64)
    load_imagenet(fresh)
    moved = {
        variable.path
        for variable, before in zip(body.weights, fresh.weights, strict=True)
        if np.abs(np.asarray(variable) - np.asarray(before)).max() > 1e-6
    }
    assert not [path for path in moved if "moving" in path]
    assert [path for path in moved if path.endswith("head_bn/gamma")]
    assert not [path for path in moved if path.startswith("block11_")]


def test_training_goes_on_from_an_earlier_network(tuned: Path) -> None:
    """One step of next to no length leaves the network where it started, not where ImageNet's weights are."""
    earlier = load_trained_run(tuned, 1)
    toy = _toy(tuned)
    toy["fine_tune"] |= {"passes": 8, "learning_rate": 1e-12}
    recipe = Recipe.model_validate(toy)
    parts = load_dataset(tuned.parent / "images" / "manifest.csv", tuned.parent / "images", recipe.data)
    images = parts["test"].images
    start = classifier_of(earlier.predictor)
    before = predict(earlier.predictor, images).logits
    onward, fresh = (
        predict(train_network(recipe, parts, 1, start=given).predictor, images).logits for given in (start, None)
    )
    np.testing.assert_allclose(onward, before, atol=1e-4)
    assert np.abs(fresh - before).max() > 1e-2


def test_classes_and_sources_are_drawn_in_their_shares(tuned: Path) -> None:
    recipe = load_trained_run(tuned, 1).recipe
    dataset = load_dataset(tuned.parent / "images" / "manifest.csv", tuned.parent / "images", recipe.data)["train"]
    dataset.table["source"] = ["big"] * 12 + ["small"] * 4
    dataset.table["tier"] = ["A", "A", "C", "C"] * 4
    section = SamplingSection(shares={"big": (0.1, 0.3), "small": (0.3, 0.1)}, tiers={"C": 0.5})
    drawn_chances = chances(section, dataset)
    labels, big = dataset.labels, dataset.table["source"] == "big"
    assert drawn_chances[labels == 0].sum() == pytest.approx(0.5)
    assert drawn_chances[(labels == 0) & big].sum() == pytest.approx(0.125)
    assert drawn_chances[(labels == 1) & big].sum() == pytest.approx(0.375)
    certain = dataset.table["tier"] == "A"
    assert drawn_chances[big & (labels == 0) & certain].mean() == pytest.approx(
        2 * drawn_chances[big & (labels == 0) & ~certain].mean()
    )
    draws = [draw for step in range(200) for draw in sampler(section, dataset, 1).batch(step, 8)]
    drawn = np.bincount([draw.index for draw in draws], minlength=16) / len(draws)
    np.testing.assert_allclose(drawn, drawn_chances, atol=0.03)
    assert all(labels[draw.index] != labels[draw.donor] for draw in draws if draw.donor is not None)
    assert np.mean([draw.donor is not None for draw in draws]) == pytest.approx(
        section.acquisition_style_transfer, abs=0.05
    )


def test_a_batch_without_augmentation_is_the_resized_images(tuned: Path) -> None:
    recipe = load_trained_run(tuned, 1).recipe.model_copy(update={"augment": "none"})
    dataset = load_dataset(tuned.parent / "images" / "manifest.csv", tuned.parent / "images", recipe.data)["train"]
    images, labels = drawn_batch(recipe, dataset, sampler(recipe.sampling, dataset, 1), 0)
    assert (images.shape, images.dtype, labels.shape) == ((8, 64, 64, 1), np.uint8, (8, 1))
    discs = images[:, 24:40, 24:40].mean(axis=(1, 2, 3)) > 110
    np.testing.assert_array_equal(discs, labels[:, 0] == 1)
