"""The folder of a run: where each file stands, and its records, recipe and networks read back.

RUN/recipe.yaml images.csv data.json calibration.npz
RUN/seed-1/ and RUN/averaged/: model.weights.h5 outliers.npz history.json scores.csv decisions.csv operating_scores.csv
    operating.json metrics.json environment.json
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from console.errors import UsageError
from device.bundle.ood_rule import OutlierRule
from train.fitting.edge import empty_edge_network
from train.fitting.history import Step
from train.networks.predictor import Predictor
from train.networks.study_cnn import build
from train.recipe import Recipe, RecipeError, StudyNetwork, load_recipe
from train.run.records import RUN_FORMAT, DataRecord, EnvironmentRecord, MetricsRecord, OperatingRecord

Record = TypeVar("Record")
RECIPE, DATA, IMAGES, CALIBRATION = "recipe.yaml", "data.json", "images.csv", "calibration.npz"
WEIGHTS, OUTLIERS, CHECKPOINTS = "model.weights.h5", "outliers.npz", "checkpoints"
HISTORY, OPERATING, METRICS, ENVIRONMENT = "history.json", "operating.json", "metrics.json", "environment.json"
AVERAGED: Final = "averaged"
NetworkChoice = int | Literal["averaged"]
"""A network of a run: that of a seed, or AVERAGED, the mean of all seeds' weights."""
AVERAGED_IN_MANIFEST = 0
"""A bundle's manifest has a whole number for the seed; this one stands for AVERAGED."""


class RunError(UsageError):
    """The folder is no run, is damaged, or is in use already; the message names it and the remedy."""


def seed_folder(run: Path, network: NetworkChoice) -> Path:
    """Return the folder of one network's files."""
    return run / (AVERAGED if network == AVERAGED else f"seed-{network}")


def manifest_seed(network: NetworkChoice) -> int:
    """Return the number that a bundle's manifest has for a network."""
    return AVERAGED_IN_MANIFEST if network == AVERAGED else network


def is_finished(run: Path, network: NetworkChoice) -> bool:
    """Return whether all of a network's files are written: the measures come last."""
    return (seed_folder(run, network) / METRICS).is_file()


def finished_seeds(run: Path) -> tuple[int, ...]:
    """Return the finished seeds, ascending; empty where there is none."""
    return tuple(sorted(int(path.parent.name.removeprefix("seed-")) for path in run.glob(f"seed-*/{METRICS}")))


def seeds_of(run: Path) -> list[int]:
    """Return the finished seeds, ascending. Raises RunError when there is none."""
    if not (seeds := finished_seeds(run)):
        raise RunError(f"{run}: no finished seed in it; name a folder that `pneumoflag-train fit --out` wrote")
    return list(seeds)


def read_recipe(run: Path) -> Recipe:
    """Return the run's settings. Raises RunError, for a run of another version too."""
    read_data(run)
    try:
        return load_recipe(run / RECIPE)
    except RecipeError as error:
        raise RunError(f"{error}; train the run again") from None


def read_data(run: Path) -> DataRecord:
    """Return what the run was trained on. Raises RunError, for a run of another version too."""
    facts = read_json(run / DATA)
    if not isinstance(facts, dict) or facts.get("format") != RUN_FORMAT:
        raise RunError(f"{run}: was written by another version of this program; train the run again")
    return _read_record(run / DATA, DataRecord)


def read_operating(run: Path, network: NetworkChoice) -> OperatingRecord:
    """Return how one network's input and outputs are read, and its operating point. Raises RunError."""
    return _read_record(seed_folder(run, network) / OPERATING, OperatingRecord)


def read_metrics(run: Path, network: NetworkChoice) -> MetricsRecord:
    """Return the measures of one network in Keras. Raises RunError."""
    return _read_record(seed_folder(run, network) / METRICS, MetricsRecord)


def read_environment(run: Path, network: NetworkChoice) -> EnvironmentRecord:
    """Return with which data and packages one network was trained. Raises RunError."""
    return _read_record(seed_folder(run, network) / ENVIRONMENT, EnvironmentRecord)


def read_history(run: Path, network: NetworkChoice) -> tuple[Step, ...]:
    """Return the batches of one network's training, empty where there were none. Raises RunError."""
    return _read_record(seed_folder(run, network) / HISTORY, tuple[Step, ...])


def load_predictor(run: Path, network: NetworkChoice) -> Predictor:
    """Return a trained network with its weights. Raises RunError, for one that is not finished too."""
    recipe, folder = read_recipe(run), seed_folder(run, network)
    if not is_finished(run, network):
        name = AVERAGED if network == AVERAGED else f"seed {network}"
        raise RunError(f"{run}: {name} is not in it; finished are {', '.join(map(str, seeds_of(run)))}")
    operating = read_operating(run, network)
    if isinstance(recipe.network, StudyNetwork):
        layers = build(recipe.network, recipe.optimizer)
    else:
        layers = empty_edge_network(recipe, operating.evidence_blocks)
    layers.load_weights(folder / WEIGHTS)
    outliers = None
    if (folder / OUTLIERS).is_file():
        with np.load(folder / OUTLIERS) as arrays:
            outliers = OutlierRule(centres=arrays["centres"], whiten=arrays["whiten"])
    return Predictor(
        network=layers,
        mean=operating.mean,
        tone=operating.intensity_normalization,
        bias=operating.bias,
        outliers=outliers,
        fake_quantized=operating.fake_quantized,
    )


def _read_record(path: Path, record: type[Record]) -> Record:
    try:
        return TypeAdapter(record).validate_python(read_json(path))
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, fault["loc"])) for fault in error.errors()}))
        raise RunError(f"{path}: not as this version writes it ({fields}); train the run again") from None


def write_json(path: Path, value: object) -> None:
    """Write a value of JSON types, indented, with a newline at the end."""
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Return the file's value. Raises RunError for a missing or damaged file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error}); train the run again") from None
