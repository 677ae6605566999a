from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from tests.support.toy_images import COUNTS, RECIPE
from train.app import main
from train.commands.fit import report_run
from train.data.dataset import load_dataset
from train.data.selection import calibration_images
from train.fitting.from_scratch import fit, steps_per_epoch
from train.networks.predictor import Predictor, predict
from train.recipe import Recipe, load_recipe
from train.run.records import DataRecord
from train.run.report import representative, summarise, table
from train.run.run_folder import RunError, load_predictor, read_data, read_json, read_recipe, seeds_of, write_json
from train.run.trained_run import load_trained_run
from train.run.training import start_run

SEED_FILES = {
    "model.weights.h5",
    "history.json",
    "scores.csv",
    "decisions.csv",
    "operating_scores.csv",
    "operating.json",
    "metrics.json",
    "environment.json",
}


def read(path: Path) -> object:
    return json.loads(path.read_text())


def test_a_run_writes_all_its_files(toy_run: Path) -> None:
    assert {path.name for path in (toy_run / "seed-1").iterdir()} == SEED_FILES
    names = {"recipe.yaml", "images.csv", "data.json", "calibration.npz", "summary.json", "table.md", "figures"}
    assert {path.name for path in toy_run.iterdir()} == names | {"seed-1", "seed-2"}
    figures = {f"{name}.{suffix}" for name in ("training", "roc", "confusion") for suffix in ("png", "svg")}
    assert {path.name for path in (toy_run / "figures").iterdir()} == figures


def test_scores_are_of_the_test_images_and_nothing_else(toy_run: Path) -> None:
    with (toy_run / "seed-1" / "scores.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert [line["case_id"] for line in lines] == [f"images/test-{index}.png" for index in range(COUNTS["test"])]
    assert [line["label"] for line in lines] == ["0", "1"] * 6
    for line in lines:
        assert float(line["score"]) == pytest.approx(expit(float(line["logit"])), abs=1e-6)


def test_thresholds_come_from_the_operating_images_alone(toy_run: Path) -> None:
    operating = read(toy_run / "seed-1" / "operating.json")
    assert isinstance(operating, dict)
    assert operating["images"] == {"normal": 6, "pneumonia": 6, "patients": 6}


def test_the_environment_states_what_the_weights_depend_on(toy_run: Path) -> None:
    environment = read(toy_run / "seed-2" / "environment.json")
    assert isinstance(environment, dict)
    assert environment["seed"] == 2
    assert {"tensorflow", "keras", "numpy"} <= set(environment["versions"])
    assert environment["recipe_digest"] == load_recipe(toy_run / "recipe.yaml").digest
    assert len(environment["data_digest"]) == 64


def test_the_same_seed_gives_the_same_network_and_another_seed_another(toy: Path, toy_run: Path) -> None:
    recipe = load_recipe(toy_run / "recipe.yaml")
    parts = load_dataset(toy / "manifest.csv", toy, recipe.data)
    first = load_predictor(toy_run, 1)
    again = fit(recipe, parts["train"], 1)
    np.testing.assert_array_equal(again.network.get_weights()[0], first.network.get_weights()[0])
    test = parts["test"].images
    rebuilt = Predictor(network=again.network, mean=again.mean)
    np.testing.assert_array_equal(predict(rebuilt, test).logits, predict(first, test).logits)
    assert not np.array_equal(load_predictor(toy_run, 2).network.get_weights()[0], first.network.get_weights()[0])


def test_history_has_each_batchs_own_figures(toy_run: Path) -> None:
    history = read(toy_run / "seed-1" / "history.json")
    assert isinstance(history, list)
    assert [step["done"] for step in history] == [1, 2, 3, 4]
    assert [step["epoch"] for step in history] == [1, 1, 2, 2]
    for step in history:
        assert step["accuracy"] * 8 == pytest.approx(round(step["accuracy"] * 8), abs=1e-3)


@pytest.mark.parametrize(("drop", "steps"), [(True, 56), (False, 57)])
def test_a_batch_that_is_not_full_is_left_out_as_matlab_does(drop: bool, steps: int) -> None:  # noqa: FBT001
    recipe = Recipe.model_validate({**RECIPE, "batch_size": 32, "drop_remainder": drop})
    assert steps_per_epoch(recipe, 1800) == steps


def test_the_typical_seed_is_the_median_by_the_operating_images() -> None:
    measured: dict[int, Any] = {
        seed: SimpleNamespace(operating=SimpleNamespace(roc_auc=SimpleNamespace(value=auc)))
        for seed, auc in {1: 0.9, 2: 0.8, 3: 0.99, 4: 0.95}.items()
    }
    assert representative(measured) == 1
    assert representative({5: measured[3], 6: measured[1], 7: measured[2]}) == 6


def test_the_table_has_each_seed_its_mean_its_spread_and_the_study(toy_run: Path) -> None:
    lines = table(summarise(toy_run)).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == [
        "seed 1",
        "seed 2",
        "**mean**",
        "standard deviation",
        "the study, on its own images",
    ]
    assert len({line.count("|") for line in lines}) == 1


def test_a_report_written_again_is_the_same(toy_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in (toy_run / "figures").glob("*.svg")}
    report_run(toy_run)
    assert {path.name: path.read_bytes() for path in (toy_run / "figures").glob("*.svg")} == before
    assert "**mean**" in capsys.readouterr().out


def test_images_for_int8_are_of_both_classes_and_listed_by_digest(toy: Path, toy_run: Path) -> None:
    recipe = load_recipe(toy_run / "recipe.yaml")
    train = load_dataset(toy / "manifest.csv", toy, recipe.data)["train"]
    images, digests = calibration_images(train)
    assert len(images) == len(digests) == 16
    assert set(digests) == set(train.digests)


def test_a_run_is_never_written_over_another(toy: Path, toy_run: Path) -> None:
    recipe = load_recipe(toy_run / "recipe.yaml")
    parts = load_dataset(toy / "manifest.csv", toy, recipe.data)
    with pytest.raises(RunError, match="--out"):
        start_run(toy_run, recipe, parts, DataRecord.of(parts, toy))


def test_a_run_of_another_version_is_refused_with_the_remedy(toy: Path, toy_run: Path, tmp_path: Path) -> None:
    old = shutil.copytree(toy_run, tmp_path / "old")
    facts = read_json(old / "data.json")
    recipe = read_recipe(old)
    parts = load_dataset(toy / "manifest.csv", toy, recipe.data)
    for changes in ({"format": 2}, {"format": None}):
        write_json(old / "data.json", facts | changes)
        (old / "recipe.yaml").write_text("name: of-another-version\n")
        for read in (read_recipe, read_data, summarise, load_trained_run):
            with pytest.raises(RunError, match=r"old: was written by another version .*; train the run again"):
                read(old)
        with pytest.raises(RunError, match="train the run again"):
            start_run(old, recipe, parts, DataRecord.of(parts, toy), resume=True)


def test_a_damaged_recipe_is_named_with_the_remedy(toy_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(toy_run, tmp_path / "run")
    (run / "recipe.yaml").write_text("name: [")
    with pytest.raises(RunError, match=r"(?s)recipe\.yaml: not YAML.*; train the run again"):
        load_trained_run(run)


def test_a_folder_that_is_no_run_is_named(toy_run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="pneumoflag-train fit"):
        seeds_of(tmp_path)
    with pytest.raises(RunError, match="finished are 1, 2"):
        load_predictor(toy_run, 9)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["report", "/nowhere"], 2, "no finished seed"),
        (["fit", "--recipe", "absent", "--manifest", "m", "--images", "i", "--out", "o"], 2, "absent: no such recipe"),
        (["fit", "--manifest", "/nowhere.csv", "--images", "i", "--out", "o"], 2, "--manifest"),
    ],
)
def test_a_fault_is_one_line_on_the_standard_error(
    arguments: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", ["pneumoflag-train", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == code
    output = capsys.readouterr().err.strip()
    assert message in output
    assert len(output.splitlines()) == 1


def test_an_interrupted_run_goes_on_and_leaves_finished_seeds_alone(toy: Path, toy_run: Path) -> None:
    recipe = load_recipe(toy_run / "recipe.yaml")
    parts = load_dataset(toy / "manifest.csv", toy, recipe.data)
    assert start_run(toy_run, recipe, parts, DataRecord.of(parts, toy), resume=True) == (1, 2)
    more = Recipe.model_validate({**recipe.model_dump(), "seeds": (1, 2, 3)})
    assert start_run(toy_run, more, parts, DataRecord.of(parts, toy), resume=True) == (1, 2)


def test_a_run_records_the_sources_it_was_trained_without(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = ["source", *("B" if index in {0, 20} else "A" for index in range(sum(COUNTS.values())))]
    lines = (toy / "manifest.csv").read_text().splitlines()
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("".join(f"{line},{source}\n" for line, source in zip(lines, sources, strict=True)))
    options = {"recipe": toy / "toy.yaml", "manifest": manifest, "images": toy, "out": tmp_path / "run", "seeds": 1}
    arguments = ["pneumoflag-train", "fit", "--without-source", "B"]
    arguments += [str(text) for name, value in options.items() for text in (f"--{name}", value)]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    data = read_data(tmp_path / "run")
    assert (data.without_sources, data.left_out) == (("B",), {"source B": 2})
    assert (data.parts["train"].normal, data.parts["test"].normal) == (7, 5)
    assert "left out, source B: 2 images" in capsys.readouterr().err


def test_a_run_goes_on_only_with_its_own_recipe_and_images(toy: Path, toy_run: Path) -> None:
    recipe = load_recipe(toy_run / "recipe.yaml")
    parts = load_dataset(toy / "manifest.csv", toy, recipe.data)
    with pytest.raises(RunError, match="another recipe"):
        start_run(toy_run, recipe.model_copy(update={"epochs": 3}), parts, DataRecord.of(parts, toy), resume=True)
    with pytest.raises(RunError, match="other images"):
        other = {**parts, "train": parts["test"]}
        start_run(toy_run, recipe, other, DataRecord.of(other, toy), resume=True)
