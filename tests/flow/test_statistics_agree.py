"""The model card, `train report` and the collector state the same interval for the same counts and scores."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from collector.app import main as collector
from export.card.model_tables import SHOWN
from export.card.render import CARD, PAGE, card_parts
from export.int8.predictions import HeldOutPredictions
from metrics.evaluation import MEASURES, evaluate
from metrics.roc import placements
from tests.export.evaluated import card_content, drawn_images, evaluation_input
from train.app import main as train
from train.networks.predictor import ModelOutputs
from train.run.run_folder import read_json, seeds_of, write_json

Stated = dict[str, tuple[str, str, str]]
"""By measure: value, low and high with four decimals, as a person reads them."""


def run_command(main: object, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr("sys.argv", ["program", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()  # type: ignore[operator]
    assert not stopped.value.code


def stated_by_card(run: Path, logits: np.ndarray) -> tuple[Stated, str]:
    """What the model card's table of figures states, and the card's page."""
    images = drawn_images(len(logits))
    inputs = evaluation_input(run, images)
    outputs = ModelOutputs(logits=logits, distances=None)
    predictions = {"test": HeldOutPredictions(dataset=images, keras=outputs, int8=outputs)}
    inputs = replace(inputs, predictions=predictions)
    parts = {name: content.decode() for name, content in card_parts(card_content(inputs)).items()}
    stated = {}
    for measure in MEASURES:
        row = re.search(rf"^\| {re.escape(SHOWN[measure])} \| (\S+) \| (\S+) to (\S+) \|", parts[CARD], re.MULTILINE)
        assert row is not None, measure
        stated[measure] = row.groups()
    return stated, parts[PAGE]


def stated_by_report(run: Path, logits: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Stated:
    """What table.md of `train report` states of the first seed, once it has been measured on these logits."""
    images = drawn_images(len(logits))
    seed = seeds_of(run)[0]
    path = run / f"seed-{seed}" / "metrics.json"
    write_json(path, {**read_json(path), "test": evaluate(images.labels == 1, logits, logits >= 0).to_dict()})
    run_command(train, monkeypatch, "report", run)
    head, _, line, *_ = (run / "table.md").read_text().splitlines()
    names = [name.strip().lower().replace(" ", "_") for name in head.split("|")]
    cells = dict(zip(names, line.split("|"), strict=True))
    return {measure: tuple(re.findall(r"\d\.\d{4}", cells[measure])) for measure in MEASURES}  # type: ignore[misc]


def stated_by_collector(
    folder: Path, logits: np.ndarray, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[Stated, str]:
    """What the JSON of `compare-files` states, held to be what its page states, and the page."""
    folder.mkdir()
    reads, calls, page, figures = (folder / name for name in ("reads.csv", "calls.csv", "page.html", "figures.json"))
    labels = drawn_images(len(logits)).labels
    reads.write_text("case_id,label\n" + "".join(f"c{i},{label}\n" for i, label in enumerate(labels)))
    rows = (f"c{i},{int(logit >= 0)},{logit!r}\n" for i, logit in enumerate(logits.tolist()))
    calls.write_text("case_id,label,score\n" + "".join(rows))
    files = ("--reads", reads, "--system", f"network={calls}", "--json", figures, "--html", page)
    run_command(collector, monkeypatch, "compare-files", *files)
    capsys.readouterr()
    system, text = json.loads(figures.read_text())["systems"]["network"], page.read_text()
    stated = {m: tuple(f"{system[m][end]:.4f}" for end in ("value", "low", "high")) for m in MEASURES}
    for value, low, high in stated.values():
        assert f"{value} <small>({low} to {high})</small>" in text
    return stated, text  # type: ignore[return-value]


@pytest.fixture
def run(toy_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_run, tmp_path / "run"))


def overlapping(count: int) -> np.ndarray:
    labels = drawn_images(count).labels
    return np.round(np.random.default_rng(3).normal(1.6 * labels - 0.8, 1.0), 1)  # rounded: some scores are equal


def test_all_three_state_the_same_interval_for_the_same_counts_and_scores(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logits = overlapping(120)
    card, _ = stated_by_card(run, logits)
    report = stated_by_report(run, logits, monkeypatch)
    page, _ = stated_by_collector(tmp_path / "collector", logits, monkeypatch, capsys)
    assert card == report == page
    for value, low, high in card.values():
        assert 0 < float(low) < float(value) < float(high) < 1


def test_one_more_misclassified_image_of_each_class_changes_every_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The negative control: four decimals are enough to show two changed cases among 120."""
    logits = overlapping(120)
    labels, changed = drawn_images(120).labels, logits.copy()
    correct = (logits >= 0) == (labels == 1)
    for label, score in ((0, 3.0), (1, -3.0)):
        changed[np.flatnonzero(correct & (labels == label))[0]] = score
    before, after = (
        stated_by_collector(tmp_path / name, scores, monkeypatch, capsys)[0]
        for name, scores in (("before", logits), ("after", changed))
    )
    assert not any(before[measure] == after[measure] for measure in MEASURES)


def test_a_perfectly_separated_sample_of_15_and_15_has_the_same_interval_in_all_three(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = drawn_images(30).labels
    logits = np.where(labels == 1, 1.0, -1.0) + np.arange(30) / 100
    card, page = stated_by_card(run, logits)
    report = stated_by_report(run, logits, monkeypatch)
    collected, _ = stated_by_collector(tmp_path / "collector", logits, monkeypatch, capsys)
    assert card["roc_auc"] == report["roc_auc"] == collected["roc_auc"] == ("1.0000", "0.7961", "1.0000")
    assert card == report == collected
    assert "0.796 to 1.000" in page
    # The negative control: DeLong's own interval has no width here.
    covariance = placements(labels == 1, logits[np.newaxis, :]).covariance
    assert covariance is not None
    assert covariance[0, 0] == pytest.approx(0)
