"""A trained run on toy films, for the tests of training and of export; their conftests take the fixtures from here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.toy_films import write_toy
from train.commands.fit import Task, fit_all


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with toy films, manifest.csv and toy.yaml."""
    folder = tmp_path_factory.mktemp("toy") / "films"
    write_toy(folder)
    return folder


@pytest.fixture(scope="session")
def toy_run(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run of two seeds."""
    out = tmp_path_factory.mktemp("toy-run") / "run"
    fit_all(Task(recipe=str(toy / "toy.yaml"), manifest=toy / "manifest.csv", images=toy, out=out))
    return out
