from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metrics.evaluation import evaluate
from metrics.paired import mcnemar, paired_bootstrap
from metrics.roc import roc_auc_difference
from tests.support.toy_images import COUNTS, toy_lines, write_manifest
from train.app import main
from train.commands.compare import compare_runs
from train.commands.fit import Task, fit_all
from train.data.dataset import load_dataset
from train.recipe import Recipe, load_recipe
from train.run.compare import Comparison, Pair, compare
from train.run.records import DataRecord
from train.run.report import summarise
from train.run.run_folder import RunError
from train.run.training import start_run, train_seed


@pytest.fixture(scope="module")
def other_run(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another network on the same images: weaker, one seed, one epoch."""
    folder = tmp_path_factory.mktemp("other-run")
    recipe = folder / "weak.yaml"
    text = (toy / "toy.yaml").read_text().replace("name: toy", "name: weak").replace("epochs: 2", "epochs: 1")
    recipe.write_text(text.replace("- 4", "- 1"))
    run = folder / "weak"
    fit_all(Task(recipe=str(recipe), manifest=toy / "manifest.csv", images=toy, out=run, seeds=(7,)))
    return run


def copied(run: Path, folder: Path) -> Path:
    return Path(shutil.copytree(run, folder))


def edit(path: Path, **columns: object) -> None:
    table = pd.read_csv(path)
    table.assign(**columns).to_csv(path, index=False)


def noisy(run: Path, folder: Path) -> Path:
    """A copy of a run whose networks score the same images differently."""
    out = copied(run, folder)
    for seed in (1, 2):
        random = np.random.default_rng(seed)
        table = pd.read_csv(out / f"seed-{seed}" / "scores.csv")
        logits = random.normal(table["label"] - 0.5, 1.0)
        edit(out / f"seed-{seed}" / "scores.csv", logit=logits)
        edit(out / f"seed-{seed}" / "decisions.csv", label=(logits > 0).astype(int))
    return out


def only_pair(comparison: Comparison) -> Pair:
    assert comparison.not_paired == ()
    (pair,) = comparison.pairs
    return pair


def test_a_run_differs_from_its_copy_by_nothing(toy_run: Path, tmp_path: Path) -> None:
    pair = only_pair(compare([toy_run, copied(toy_run, tmp_path / "copy")]))
    assert (pair.first, pair.second, pair.images) == (toy_run.name, "copy", COUNTS["test"])
    assert pair.auc is not None
    assert (pair.auc.value, pair.auc.p) == pytest.approx((0, 1))
    assert (pair.mcnemar.only_first, pair.mcnemar.only_second, pair.mcnemar.p_exact) == (0, 0, 1)
    assert pair.balanced_accuracy is not None
    assert (pair.balanced_accuracy.low, pair.balanced_accuracy.high) == (0, 0)


def test_a_pairs_tests_are_those_of_the_representative_seeds_scores(toy_run: Path, tmp_path: Path) -> None:
    other = noisy(toy_run, tmp_path / "noisy")
    pair = only_pair(compare([toy_run, other]))
    typical = summarise(toy_run).representative_seed
    folders = [run / f"seed-{typical}" for run in (toy_run, other)]
    scores = [pd.read_csv(folder / "scores.csv") for folder in folders]
    decided = [(pd.read_csv(folder / "decisions.csv")["label"] == 1).to_numpy() for folder in folders]
    positive = scores[0]["label"].to_numpy() == 1
    patients = [f"test-{index // 2}" for index in range(COUNTS["test"])]
    assert pair.auc == roc_auc_difference(positive, scores[0]["logit"].to_numpy(), scores[1]["logit"].to_numpy())
    assert pair.mcnemar == mcnemar(decided[0] == positive, decided[1] == positive)
    assert pair.balanced_accuracy == paired_bootstrap(positive, *decided, patients)
    both = [evaluate(positive, positive.astype(float), called).balanced_accuracy.value for called in decided]
    assert pair.balanced_accuracy.value == pytest.approx(both[0] - both[1])


def test_two_trained_networks_stand_side_by_side(toy_run: Path, other_run: Path) -> None:
    comparison = compare([toy_run, other_run])
    assert only_pair(comparison).images == COUNTS["test"]
    first, second = comparison.runs
    assert (first.recipe, second.recipe, first.seeds, second.seeds) == ("toy", "weak", (1, 2), (7,))
    assert first.images["train"] == {"normal": 8, "pneumonia": 8, "patients": 8}
    assert first.counted == {"normal": 6, "pneumonia": 6}
    spread = summarise(toy_run).measures["roc_auc"]
    assert (first.measures["roc_auc"].mean, first.measures["roc_auc"].sd) == (spread.mean, spread.sd)
    assert second.measures["roc_auc"].sd is None


def test_images_are_paired_by_digest_and_not_by_name_or_order(toy_run: Path, tmp_path: Path) -> None:
    other = noisy(toy_run, tmp_path / "noisy")
    expected = only_pair(compare([toy_run, other]))
    order = np.random.default_rng(0).permutation(COUNTS["test"])
    table = pd.read_csv(other / "images.csv")
    table["file"] = table["file"].str.replace("images/", "renamed/")
    table.iloc[::-1].to_csv(other / "images.csv", index=False)
    for path in other.glob("seed-*/*s.csv"):
        if path.name in {"scores.csv", "decisions.csv"}:
            table = pd.read_csv(path).iloc[order]
            table.assign(case_id=table["case_id"].str.replace("images/", "renamed/")).to_csv(path, index=False)
    assert only_pair(compare([toy_run, other])) == expected


def test_runs_with_different_test_images_are_reported_and_never_paired(
    toy_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = copied(toy_run, tmp_path / "elsewhere")
    table = pd.read_csv(other / "images.csv")
    table.loc[table.index[table["part"] == "test"][0], "sha256"] = "0" * 64
    table.to_csv(other / "images.csv", index=False)
    compare_runs([toy_run, other], tmp_path / "out")
    message = f"{toy_run.name} and elsewhere are not paired: their test images differ: 11 in common, of 12 and 12"
    assert message in (tmp_path / "out" / "compare.md").read_text()
    assert message in capsys.readouterr().out.replace("\n", " ").replace("  ", " ")
    assert compare([toy_run, other]).pairs == ()


def test_the_same_images_with_different_labels_are_never_paired(toy_run: Path, tmp_path: Path) -> None:
    other = copied(toy_run, tmp_path / "relabelled")
    for seed in (1, 2):
        labels = pd.read_csv(other / f"seed-{seed}" / "scores.csv")["label"].to_numpy()
        edit(other / f"seed-{seed}" / "scores.csv", label=np.where(np.arange(12) < 3, 1 - labels, labels))
    (outcome,) = compare([toy_run, other]).not_paired
    assert outcome.reason == "of the same test images, 3 have different labels"


def test_only_images_whose_label_counts_for_both_are_paired(toy_run: Path, tmp_path: Path) -> None:
    other = copied(toy_run, tmp_path / "fewer")
    for seed in (1, 2):
        folder = other / f"seed-{seed}"
        edit(folder / "scores.csv", counted=(np.arange(12) >= 4).astype(int))
        pd.read_csv(folder / "decisions.csv").iloc[4:].to_csv(folder / "decisions.csv", index=False)
    comparison = compare([toy_run, other])
    assert only_pair(comparison).images == 8
    assert comparison.runs[1].counted == {"normal": 4, "pneumonia": 4}


def test_an_image_listed_twice_is_paired_once_with_each(toy: Path, tmp_path: Path) -> None:
    """Rows of one file under two names: as many pairs as rows, not one for each way to match them."""
    folder = tmp_path / "images"
    shutil.copytree(toy, folder)
    shutil.copy(folder / "images" / "test-0.png", folder / "images" / "test-again.png")
    write_manifest(folder, [*toy_lines(), ("images/test-again.png", "normal", "test-0", "test", "test")])
    runs = [tmp_path / "one", tmp_path / "two"]
    recipe = Recipe.model_validate({**load_recipe(toy / "toy.yaml").model_dump(), "epochs": 1, "seeds": (1,)})
    parts = load_dataset(folder / "manifest.csv", folder, recipe.data)
    start_run(runs[0], recipe, parts, DataRecord.of(parts, folder))
    train_seed(runs[0], recipe, parts, 1, on_step=lambda _: None)
    shutil.copytree(runs[0], runs[1])
    assert only_pair(compare(runs)).images == len(parts["test"]) == COUNTS["test"] + 1


def run_command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["pneumoflag-train", "compare", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_the_command_writes_page_figures_and_facts_without_a_patient(
    toy_run: Path,
    other_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    third = noisy(toy_run, tmp_path / "third")
    assert run_command(monkeypatch, toy_run, other_run, third, "--out", tmp_path / "out") == 0
    assert {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")} == {
        "compare.md",
        "compare.json",
        "figures/runs.png",
        "figures/runs.svg",
    }
    page, facts = (tmp_path / "out" / "compare.md").read_text(), (tmp_path / "out" / "compare.json").read_text()
    tables = [line for line in page.splitlines() if line.startswith("|")]
    assert [line.split("|")[1].strip() for line in tables if ", weak" in line or ", third" in line] == [
        f"{toy_run.name}, weak",
        f"{toy_run.name}, third",
        "weak, third",
    ]
    assert " ± " in page
    assert len(json.loads(facts)["pairs"]) == 3
    drawn = (tmp_path / "out" / "figures" / "runs.svg").read_text()
    for text in (page, facts, drawn):
        assert "test-1" not in text
    screen = capsys.readouterr().out
    assert "balanced accuracy" in screen
    assert "DeLong" in screen


def test_a_comparison_made_again_is_the_same(toy_run: Path, other_run: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        compare_runs([toy_run, other_run], tmp_path / name)
    for file in ("compare.md", "compare.json", "figures/runs.svg"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_what_cannot_be_compared_is_a_usage_error(
    toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = copied(toy_run, tmp_path / "broken")
    (broken / "images.csv").unlink()
    for arguments in ([toy_run], [toy_run, toy_run / "."], [toy_run, tmp_path], [toy_run, broken]):
        assert run_command(monkeypatch, *arguments) == 2
    messages = capsys.readouterr().err.strip().splitlines()
    assert [
        next(part for part in ("two or more different", "no finished seed", "cannot be read") if part in line)
        for line in messages
    ] == ["two or more different", "two or more different", "no finished seed", "cannot be read"]
    with pytest.raises(RunError):
        compare([])


def test_runs_of_one_name_are_distinguished_by_their_paths(toy_run: Path, tmp_path: Path) -> None:
    twin = copied(toy_run, tmp_path / toy_run.name)
    assert [run.name for run in compare([toy_run, twin]).runs] == [str(toy_run), str(twin)]
