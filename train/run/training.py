"""Train a run: what all seeds share, then one network after another with its scores and measures, go into a folder."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from device.preprocess.render import PREPROCESS_VERSION
from train.data.dataset import PARTS, LabelledImages
from train.data.selection import calibration_images
from train.fitting.fine_tune import Classifier
from train.fitting.history import Step
from train.fitting.train_network import NO_IMAGES, TrainedNetwork, average_networks, train_network
from train.networks.predictor import ModelOutputs
from train.recipe import Recipe, StudyNetwork, write_recipe
from train.run.measures import write_measures
from train.run.records import Counts, DataRecord, EnvironmentRecord, OperatingRecord
from train.run.run_folder import (
    AVERAGED,
    CALIBRATION,
    DATA,
    ENVIRONMENT,
    HISTORY,
    IMAGES,
    OPERATING,
    OUTLIERS,
    RECIPE,
    WEIGHTS,
    NetworkChoice,
    RunError,
    finished_seeds,
    is_finished,
    load_predictor,
    read_data,
    read_recipe,
    seed_folder,
    seeds_of,
    write_json,
)
from train.run.score_files import OPERATING_SCORES, write_csv, write_scores

IMAGE_COLUMNS = ("part", "file", "label", "patient_id", "sha256", "source", "tier", "view", "sex", "age")
PACKAGES = ("keras", "numpy", "opencv-python-headless", "scikit-learn")


def start_run(
    out: Path, recipe: Recipe, parts: Mapping[str, LabelledImages], data: DataRecord, *, resume: bool = False
) -> tuple[int, ...]:
    """Write what all seeds share; return the seeds that are finished already.

    `data` describes `parts`, see `DataRecord.of`. Raises RunError where the folder is in use, or with `resume` where
    it was begun with another recipe or other images. More seeds are the same run.
    """
    if resume and (out / RECIPE).is_file():
        if read_recipe(out).model_copy(update={"seeds": recipe.seeds}) != recipe:
            raise RunError(f"{out}: was begun with another recipe; name another folder with --out")
        if read_data(out).parts != data.parts:
            raise RunError(f"{out}: was begun with other images; name another folder with --out")
        return finished_seeds(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out}: already exists; continue with --resume, name another folder with --out, or delete it")
    out.mkdir(parents=True, exist_ok=True)
    write_recipe(recipe, out / RECIPE)
    write_json(out / DATA, asdict(data))
    write_csv(out / IMAGES, IMAGE_COLUMNS, _image_rows(parts))
    inputs, digests = calibration_images(parts["train"])
    np.savez_compressed(out / CALIBRATION, images=inputs, sha256=np.array(digests))
    return ()


def train_seed(
    out: Path,
    recipe: Recipe,
    parts: Mapping[str, LabelledImages],
    seed: int,
    *,
    start: Classifier | None = None,
    rejected: NDArray[np.uint8] = NO_IMAGES,
    on_step: Callable[[Step], None],
) -> None:
    """Train one network, choose its operating point, measure it on the test images, and write its files.

    `start`: the network whose training goes on, None for ImageNet's weights. `rejected` uint8 (n, 224, 224): images
    that the network must reject.
    """
    trained = train_network(recipe, parts, seed, start=start, rejected=rejected, on_step=on_step)
    write_network(out, recipe, parts, seed, trained)
    # A mean without this seed is no longer the run's.
    shutil.rmtree(seed_folder(out, AVERAGED), ignore_errors=True)


def has_average(recipe: Recipe) -> bool:
    """Return whether a run ends with the mean of its seeds' weights: where several start from the same weights."""
    return recipe.average_seeds and not isinstance(recipe.network, StudyNetwork) and len(recipe.seeds) > 1


def write_average(
    out: Path, recipe: Recipe, parts: Mapping[str, LabelledImages], rejected: NDArray[np.uint8] = NO_IMAGES
) -> Path | None:
    """Write the mean of all finished seeds' weights, and return its folder.

    None where the recipe has no such mean, or where it is written already.
    """
    if not has_average(recipe) or is_finished(out, AVERAGED):
        return None
    networks = [load_predictor(out, seed) for seed in seeds_of(out)]
    return write_network(out, recipe, parts, AVERAGED, average_networks(recipe, parts, networks, rejected))


def write_network(
    out: Path, recipe: Recipe, parts: Mapping[str, LabelledImages], seed: NetworkChoice, trained: TrainedNetwork
) -> Path:
    """Write a trained network with all its records and scores, and return its folder."""
    folder = seed_folder(out, seed)
    folder.mkdir(exist_ok=True)
    trained.predictor.network.save_weights(folder / WEIGHTS)
    if trained.predictor.outliers is not None:
        outliers = trained.predictor.outliers
        np.savez(folder / OUTLIERS, centres=outliers.centres, whiten=outliers.whiten)
    write_json(folder / HISTORY, [asdict(step) for step in trained.history])
    write_json(folder / ENVIRONMENT, asdict(_environment(recipe, parts["train"], seed)))
    write_json(folder / OPERATING, asdict(_operating(trained)))
    write_scores(folder / OPERATING_SCORES, trained.operating, ModelOutputs(logits=trained.operating_logits))
    write_measures(folder, recipe.data, parts["test"], trained)
    return folder


def _operating(trained: TrainedNetwork) -> OperatingRecord:
    predictor, point = trained.predictor, trained.point
    return OperatingRecord(
        mean=predictor.mean,
        bias=predictor.bias,
        calibration=point.calibration,
        operating_logit=point.operating_logit,
        thresholds=point.thresholds,
        outlier_threshold=trained.outlier_threshold,
        images=Counts(**trained.operating.counts()),
        digest=trained.operating.digest,
    )


def _environment(recipe: Recipe, dataset: LabelledImages, seed: NetworkChoice) -> EnvironmentRecord:
    # TensorFlow's distribution has several names, its module one version.
    versions = {name: version(name) for name in PACKAGES} | {"tensorflow": str(tf.__version__)}
    return EnvironmentRecord(
        seed=seed,
        recipe=recipe.name,
        recipe_digest=recipe.digest,
        data_digest=dataset.digest,
        preprocess_version=PREPROCESS_VERSION,
        python=platform.python_version(),
        machine=platform.machine(),
        versions=dict(sorted(versions.items())),
    )


def _image_rows(parts: Mapping[str, LabelledImages]) -> list[tuple[object, ...]]:
    columns = ["file", "label", "patient", "digest", "source", "tier", "view", "sex"]
    return [
        (part, *line, "" if np.isnan(age) else f"{age:g}")
        for part in PARTS
        for line, age in zip(parts[part].table[columns].itertuples(index=False), parts[part].ages, strict=True)
    ]
