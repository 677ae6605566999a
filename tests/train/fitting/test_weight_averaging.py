from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.train.fitting.test_edge import EDGE, trained_run
from train.data.dataset import load_dataset
from train.fitting.fine_tune import mean_of
from train.fitting.train_network import classifier_of
from train.recipe import find_recipe, load_recipe
from train.run.compare import compare
from train.run.report import (
    MEAN,
    released_network,
    summarise,
    table,
)
from train.run.run_folder import (
    AVERAGED,
    is_finished,
    read_json,
    seed_folder,
    seeds_of,
)
from train.run.trained_run import load_trained_run
from train.run.training import has_average, train_seed, write_average


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fine-tuned run of two seeds."""
    return trained_run(tmp_path_factory.mktemp("averaged"), fine_tune={**EDGE["fine_tune"], "passes": 32}, seeds=[1, 2])


def kernels(run: Path, seed: int) -> dict[str, np.ndarray]:
    network = load_trained_run(run, seed).predictor.network
    return {layer.name: layer.get_weights()[0] for layer in network.layers if "conv" in layer.name}


def test_a_run_ends_with_the_mean_of_its_seeds_beside_them(run: Path) -> None:
    assert seeds_of(run) == [1, 2]
    assert is_finished(run, AVERAGED)
    assert seed_folder(run, AVERAGED) == run / "averaged"
    first, second, mean = (kernels(run, seed) for seed in (1, 2, AVERAGED))
    assert any((first[name] != second[name]).any() for name in first)
    for name, kernel in mean.items():
        np.testing.assert_allclose(kernel, (first[name] + second[name]) / 2, atol=1e-6)


def test_its_measures_are_its_own(run: Path) -> None:
    measures = read_json(run / "averaged" / "metrics.json")
    assert measures["test"]["n"] == read_json(run / "seed-1" / "metrics.json")["test"]["n"]
    assert read_json(run / "averaged" / "environment.json")["seed"] == AVERAGED


def test_it_is_the_network_that_reports_and_comparisons_speak_of(run: Path, tmp_path: Path) -> None:
    summary = summarise(run)
    assert released_network(run, summary) == AVERAGED
    assert (
        summary.weight_average.measures["roc_auc"]
        == read_json(run / "averaged" / "metrics.json")["test"]["roc_auc"]["value"]
    )
    assert MEAN in table(summary)
    other = tmp_path / "without"
    shutil.copytree(run, other)
    shutil.rmtree(other / "averaged")
    assert released_network(other, summarise(other)) in {1, 2}
    with_average, without = compare([run, other]).runs
    assert (with_average.compared, without.compared) == (AVERAGED, released_network(other, summarise(other)))


def test_one_network_has_no_mean(run: Path) -> None:
    seed = load_trained_run(run, 1)
    with pytest.raises(ValueError, match="at least two"):
        mean_of([classifier_of(seed.predictor)], 64)


def test_one_seed_or_the_study_network_has_no_average(run: Path) -> None:
    recipe = load_trained_run(run, 1).recipe
    parts = load_dataset(run.parent / "images" / "manifest.csv", run.parent / "images", recipe.data)
    assert has_average(recipe)
    assert not has_average(recipe.model_copy(update={"seeds": (1,)}))
    assert not has_average(recipe.model_copy(update={"average_seeds": False}))
    assert not has_average(load_recipe(find_recipe("study")))
    assert write_average(run, recipe, parts) is None


def test_a_further_seed_renews_the_mean(run: Path, tmp_path: Path) -> None:
    begun = shutil.copytree(run, tmp_path / "run")
    recipe = load_trained_run(begun, 1).recipe
    parts = load_dataset(run.parent / "images" / "manifest.csv", run.parent / "images", recipe.data)
    train_seed(begun, recipe, parts, 3, on_step=lambda _: None)
    assert not is_finished(begun, AVERAGED)
    assert write_average(begun, recipe, parts) == begun / "averaged"
    name = "block14_project_conv"
    mean = np.mean([kernels(begun, seed)[name] for seed in (1, 2, 3)], axis=0)
    np.testing.assert_allclose(kernels(begun, AVERAGED)[name], mean, atol=1e-6)
