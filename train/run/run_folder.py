"""The folder of a run: weights, history, scores and measures, written and read.

RUN/recipe.yaml images.csv data.json calibration.npz
RUN/seed-1/ and RUN/averaged/: model.weights.h5 outliers.npz history.json scores.csv decisions.csv operating_scores.csv
    operating.json metrics.json environment.json
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from console.errors import UsageError
from device.bundle.ood_rule import OutlierRule
from device.preprocess.render import PREPROCESS_VERSION
from metrics.evaluation import evaluate
from train.calibration.methods import apply_calibration
from train.calibration.thresholds import Thresholds
from train.data.dataset import PARTS, LabelledImages
from train.data.selection import certain_mask, select
from train.fitting.fine_tune import Classifier
from train.fitting.history import Step
from train.fitting.train_network import TrainedNetwork, empty_edge_network, train_network
from train.networks.predictor import ModelOutputs, Predictor, predict
from train.networks.study_cnn import build
from train.quantization.calibration_images import calibration_images
from train.recipe import Recipe, StudyNetwork, load_recipe, write_recipe
from train.run.records import DataRecord, EnvironmentRecord, MetricsRecord, OperatingRecord
from train.run.score_files import (
    DECISIONS,
    OPERATING_SCORES,
    SCORES,
    write_csv,
    write_decisions,
    write_scores,
)

Record = TypeVar("Record")
WEIGHTS, OUTLIERS = "model.weights.h5", "outliers.npz"
IMAGE_COLUMNS = ("part", "file", "label", "patient_id", "sha256", "source", "tier", "view", "sex", "age")
NOTHING_LEFT_OUT: Mapping[str, int] = MappingProxyType({})
AVERAGED: Final = "averaged"
NetworkChoice = int | Literal["averaged"]
"""A network of a run: that of a seed, or AVERAGED, the mean of all seeds' weights."""
AVERAGED_IN_MANIFEST = 0
"""A bundle's manifest has a whole number for the seed; this one stands for AVERAGED."""


class RunError(UsageError):
    """The folder is no run, or holds one already; the words name it and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedRun:
    """One trained network, read back. `operating` as `operating_facts` wrote it."""

    folder: Path
    recipe: Recipe
    seed: NetworkChoice
    predictor: Predictor
    operating: Mapping[str, Any]
    metrics: Mapping[str, Any]
    environment: Mapping[str, Any]


def start_run(
    out: Path,
    recipe: Recipe,
    parts: Mapping[str, LabelledImages],
    *,
    image_folder: Path,
    without_sources: Sequence[str] = (),
    left_out: Mapping[str, int] = NOTHING_LEFT_OUT,
    resume: bool = False,
) -> tuple[int, ...]:
    """Write what all seeds share; return the seeds that are finished already. Raises RunError for a folder in use."""
    facts = {part: {"digest": parts[part].digest, **parts[part].counts()} for part in PARTS}
    if resume and (out / "recipe.yaml").is_file():
        _same_run(out, recipe, facts)
        return tuple(sorted(_finished(out)))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out}: is there already; go on with --resume, name another folder with --out, or delete it")
    out.mkdir(parents=True, exist_ok=True)
    write_recipe(recipe, out / "recipe.yaml")
    record = {"images": str(image_folder.resolve()), "parts": facts}
    record |= {"without_sources": sorted(set(without_sources)), "left_out": dict(left_out)}
    write_json(out / "data.json", record)
    write_csv(out / "images.csv", IMAGE_COLUMNS, _image_rows(parts))
    inputs, digests = calibration_images(parts["train"])
    np.savez_compressed(out / "calibration.npz", images=inputs, sha256=np.array(digests))
    return ()


def _same_run(out: Path, recipe: Recipe, facts: Mapping[str, Any]) -> None:
    """Seeds of one run share recipe and images. More seeds are the same run."""
    begun = load_recipe(out / "recipe.yaml")
    if begun.model_copy(update={"seeds": recipe.seeds}) != recipe:
        raise RunError(f"{out}: was begun with another recipe; name another folder with --out")
    if read_json(out / "data.json")["parts"] != facts:
        raise RunError(f"{out}: was begun with other images; name another folder with --out")


def train_seed(
    out: Path,
    recipe: Recipe,
    parts: Mapping[str, LabelledImages],
    seed: int,
    *,
    start: Classifier | None = None,
    on_step: Callable[[Step], None],
) -> None:
    """Train one network, choose its operating point, measure it on the test images and write it all to the folder.

    `start`: the network whose training goes on, None for ImageNet's.
    """
    write_seed(out, recipe, parts, seed, train_network(recipe, parts, seed, start=start, on_step=on_step))
    # A mean without this seed is no longer the run's.
    shutil.rmtree(seed_folder(out, AVERAGED), ignore_errors=True)


def write_seed(
    out: Path, recipe: Recipe, parts: Mapping[str, LabelledImages], seed: NetworkChoice, trained: TrainedNetwork
) -> Path:
    """A trained network with its rules, and what it says of the test images; the folder."""
    folder = seed_folder(out, seed)
    folder.mkdir(exist_ok=True)
    trained.predictor.network.save_weights(folder / WEIGHTS)
    if trained.predictor.outliers is not None:
        outliers = trained.predictor.outliers
        np.savez(folder / OUTLIERS, centres=outliers.centres, whiten=outliers.whiten)
    write_json(folder / "history.json", [asdict(step) for step in trained.history])
    write_json(folder / "environment.json", environment(recipe, parts["train"], seed))
    write_json(folder / "operating.json", operating_facts(trained))
    write_scores(folder / OPERATING_SCORES, trained.operating, ModelOutputs(logits=trained.operating_logits))
    write_measures(folder, recipe, parts["test"], trained)
    return folder


def operating_facts(trained: TrainedNetwork) -> dict[str, Any]:
    """What stands between the network and a flag, as JSON types."""
    predictor, point, operating = trained.predictor, trained.point, trained.operating
    return {
        "mean": predictor.mean,
        "bias": predictor.bias,
        "calibration": point.calibration,
        "operating_logit": point.operating_logit,
        "thresholds": asdict(point.thresholds),
        "outlier_threshold": trained.outlier_threshold,
        "images": operating.counts(),
        "digest": operating.digest,
    }


def write_measures(folder: Path, recipe: Recipe, dataset: LabelledImages, trained: TrainedNetwork) -> None:
    """scores.csv of all test images; metrics.json and decisions.csv of those whose labels count."""
    found, point = predict(trained.predictor, dataset.images), trained.point
    counted = certain_mask(recipe.data, dataset)
    write_scores(folder / SCORES, dataset, found, counted)
    test, logits = select(dataset, counted), found.logits[counted]
    probabilities = apply_calibration(point.calibration, logits)
    decided = trained.decided(logits)
    write_decisions(folder / DECISIONS, test, logits, decided)
    held_out, held_logits = trained.operating, trained.operating_logits
    measures = {
        "operating": _measure(held_out, held_logits, trained.decided(held_logits)),
        "test": _measure(test, logits, decided),
        "test_at_flag": _measure(test, logits, probabilities >= point.thresholds.flag_at),
        "test_at_clear": _measure(test, logits, probabilities >= point.thresholds.clear_below),
        "test_flags": flag_counts(probabilities, test.labels, point.thresholds),
    }
    write_json(folder / "metrics.json", measures)


def _measure(dataset: LabelledImages, logits: NDArray[np.float64], decided: NDArray[np.bool_]) -> dict[str, Any]:
    return evaluate(dataset.labels == 1, logits, decided).to_dict()


def flag_counts(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], chosen: Thresholds
) -> dict[str, dict[str, int]]:
    """How many images of each label get each flag."""
    flagged, cleared = probabilities >= chosen.flag_at, probabilities < chosen.clear_below
    masks = {"pneumonia": flagged, "review": ~flagged & ~cleared, "clear": cleared}
    names = {"normal": 0, "pneumonia": 1}
    return {flag: {n: int((mask & (labels == v)).sum()) for n, v in names.items()} for flag, mask in masks.items()}


def environment(recipe: Recipe, dataset: LabelledImages, seed: NetworkChoice) -> dict[str, Any]:
    """What it takes to make the same weights again."""
    packages = ("tensorflow", "keras", "numpy", "opencv-python-headless", "scikit-learn")
    present = [name for name in packages if name != "tensorflow"]
    versions = {name: version(name) for name in present} | {"tensorflow": _tensorflow_version()}
    return {
        "seed": seed,
        "recipe": recipe.name,
        "recipe_digest": recipe.digest,
        "data_digest": dataset.digest,
        "preprocess_version": PREPROCESS_VERSION,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "versions": dict(sorted(versions.items())),
    }


def _tensorflow_version() -> str:
    import tensorflow as tf  # noqa: PLC0415  the distribution has several names, the module one version

    return str(tf.__version__)


def seed_folder(run: Path, network: NetworkChoice) -> Path:
    """Where one seed's files stand; those of SOUP, the mean of all seeds, beside them."""
    return run / (AVERAGED if network == AVERAGED else f"seed-{network}")


def manifest_seed(network: NetworkChoice) -> int:
    """The number that a bundle's manifest has for a network."""
    return AVERAGED_IN_MANIFEST if network == AVERAGED else network


def seeds_of(run: Path) -> list[int]:
    """The finished seeds, ascending. Raises RunError when there is none."""
    if not (found := _finished(run)):
        raise RunError(f"{run}: no finished seed in it; name a folder that `pneumoflag-train fit --out` wrote")
    return sorted(found)


def _finished(run: Path) -> list[int]:
    return [int(path.parent.name.removeprefix("seed-")) for path in run.glob("seed-*/metrics.json")]


def is_finished(run: Path, seed: NetworkChoice) -> bool:
    """Whether all of it is written: the measures come last."""
    return (seed_folder(run, seed) / "metrics.json").is_file()


def load_seed(run: Path, seed: NetworkChoice) -> SeedRun:
    """One trained network with all that was written beside it. Raises RunError, RecipeError."""
    folder, recipe = seed_folder(run, seed), load_recipe(run / "recipe.yaml")
    if not is_finished(run, seed):
        raise RunError(f"{run}: seed {seed} is not in it; finished are {', '.join(map(str, seeds_of(run)))}")
    operating = read_json(folder / "operating.json")
    return SeedRun(
        folder=folder,
        recipe=recipe,
        seed=seed,
        predictor=_trained(folder, recipe, operating),
        operating=operating,
        metrics=read_json(folder / "metrics.json"),
        environment=read_json(folder / "environment.json"),
    )


def _trained(folder: Path, recipe: Recipe, operating: Mapping[str, Any]) -> Predictor:
    if isinstance(recipe.network, StudyNetwork):
        network = build(recipe.network, recipe.optimizer)
    else:
        network = empty_edge_network(recipe)
    network.load_weights(folder / WEIGHTS)
    outliers = None
    if (folder / OUTLIERS).is_file():
        with np.load(folder / OUTLIERS) as arrays:
            outliers = OutlierRule(centres=arrays["centres"], whiten=arrays["whiten"])
    return Predictor(
        network=network,
        mean=operating["mean"],
        bias=operating["bias"],
        outliers=outliers,
    )


def _image_rows(parts: Mapping[str, LabelledImages]) -> list[tuple[object, ...]]:
    columns = ["file", "label", "patient", "digest", "source", "tier", "view", "sex"]
    return [
        (part, *line, "" if np.isnan(age) else f"{age:g}")
        for part in PARTS
        for line, age in zip(parts[part].table[columns].itertuples(index=False), parts[part].ages, strict=True)
    ]


def read_parts(run: Path) -> DataRecord:
    """What the run was trained on. Raises RunError."""
    return _read_record(run / "data.json", DataRecord)


def read_operating(run: Path, seed: NetworkChoice) -> OperatingRecord:
    """How one network is read, and its operating point. Raises RunError."""
    return _read_record(seed_folder(run, seed) / "operating.json", OperatingRecord)


def read_metrics(run: Path, seed: NetworkChoice) -> MetricsRecord:
    """What one network reached in Keras. Raises RunError."""
    return _read_record(seed_folder(run, seed) / "metrics.json", MetricsRecord)


def read_environment(run: Path, seed: NetworkChoice) -> EnvironmentRecord:
    """With which data and packages one network was trained. Raises RunError."""
    return _read_record(seed_folder(run, seed) / "environment.json", EnvironmentRecord)


def read_history(run: Path, seed: NetworkChoice) -> tuple[Step, ...]:
    """The batches of one network's training, empty where there were none. Raises RunError."""
    return _read_record(seed_folder(run, seed) / "history.json", tuple[Step, ...])


def _read_record(path: Path, record: type[Record]) -> Record:
    try:
        return TypeAdapter(record).validate_python(read_json(path))
    except ValidationError as error:
        where = ", ".join(sorted({".".join(map(str, fault["loc"])) for fault in error.errors()}))
        raise RunError(f"{path}: not as this version writes it ({where}); train the run again") from None


def write_json(path: Path, value: Any) -> None:
    """Indented, a newline at the end."""
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Raises RunError for a missing or damaged file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error}); train the run again") from None
