from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.support.toy_images import write_toy
from train.app import main
from train.commands.fit import Task, fit_all
from train.fitting.history import Step
from train.fitting.tensorboard import SCALARS, event_log
from train.run.run_folder import read_json

EDGE: dict[str, Any] = {
    "network": {"architecture": "lite0", "side": 64, "outlier_blocks": [4]},
    "batch_size": 8,
    "fine_tune": {"passes": 32, "frozen_blocks": 12},
    "seeds": [3],
}


def events(folder: Path) -> dict[str, dict[int, float]]:
    """{scalar: {step: value}} of a folder's event files, as a reader takes them."""
    scalars: dict[str, dict[int, float]] = {}
    for file in sorted(folder.glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(file)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name in {"scalars", ""}
                scalars.setdefault(value.tag, {})[event.step] = float(tf.make_ndarray(value.tensor))
    return scalars


def fitted(folder: Path, **changes: Any) -> Path:
    """A run, and its events in `folder`/board."""
    write_toy(folder / "images", **changes)
    toy = folder / "images"
    task = Task(
        recipe=str(toy / "toy.yaml"),
        manifest=toy / "manifest.csv",
        images=toy,
        out=folder / "run",
        tensorboard=folder / "board",
    )
    fit_all(task)
    return folder / "run"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fitted(tmp_path_factory.mktemp("study"), epochs=1)


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fitted(tmp_path_factory.mktemp("edge"), **EDGE)


@pytest.mark.parametrize(("fixture", "seeds"), [("study", [1, 2]), ("edge", [3])])
def test_event_files_hold_the_history(fixture: str, seeds: list[int], request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue(fixture)
    board = run.parent / "board" / "run"
    assert sorted(path.name for path in board.iterdir()) == [f"seed-{seed}" for seed in seeds]
    for seed in seeds:
        logged, history = events(board / f"seed-{seed}"), read_json(run / f"seed-{seed}" / "history.json")
        assert logged.keys() == set(SCALARS)
        assert len(history) >= 2
        for name in SCALARS:
            assert logged[name] == pytest.approx({step["done"]: step[name] for step in history})


def test_the_rate_is_that_of_the_batch_in_a_schedule(edge: Path) -> None:
    """Warm-up over the first step alone begins at nothing; then a cosine."""
    rates = [step["learning_rate"] for step in read_json(edge / "seed-3" / "history.json")]
    assert rates == pytest.approx([0.0, *(1.5e-4 * (1 + np.cos(np.pi * step / 3)) / 2 for step in range(3))], rel=1e-4)


def test_the_study_learns_at_one_rate(study: Path) -> None:
    rates = [step["learning_rate"] for step in read_json(study / "seed-1" / "history.json")]
    assert rates == pytest.approx([1e-4] * len(rates))


def test_events_are_there_after_a_training_that_broke_off(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), event_log(tmp_path / "deep" / "folder") as log:
        log(Step(epoch=1, done=1, steps=9, loss=0.5, accuracy=0.75, learning_rate=0.01))
        raise KeyboardInterrupt
    assert events(tmp_path / "deep" / "folder")["loss"] == {1: 0.5}


def test_a_run_without_a_folder_writes_no_events(toy_run: Path) -> None:
    assert not list(toy_run.rglob("events.*"))


def test_the_command_takes_a_folder_and_refuses_a_file(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(toy / "toy.yaml", tmp_path / "toy.yaml")
    arguments = ["fit", "--recipe", tmp_path / "toy.yaml", "--manifest", toy / "manifest.csv", "--images", toy]
    for where, code in ((tmp_path / "toy.yaml", 2), (tmp_path / "board", 0)):
        options = [*arguments, "--seeds", "1", "--out", tmp_path / "run", "--tensorboard", where]
        monkeypatch.setattr("sys.argv", ["pneumoflag-train", *map(str, options)])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert int(stopped.value.code or 0) == code
    assert "--tensorboard" in capsys.readouterr().err
    assert set(events(tmp_path / "board" / "run" / "seed-1")) == set(SCALARS)
