"""Run: a recipe and films come in; a run's folder with weights, history, scores and measures goes out.

RUN/recipe.yaml films.csv data.json calibration.npz
RUN/seed-1/model.weights.h5 history.json scores.csv decisions.csv operating_scores.csv operating.json
           metrics.json environment.json
"""

from __future__ import annotations

import csv
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from device.preprocess import PREPROCESS_VERSION
from train.calibrate import apply_calibration, fit_calibration
from train.data import PARTS, Films
from train.evaluate import evaluate
from train.fit import Step, Trained, fit, scored
from train.model import build
from train.recipe import Recipe, load_recipe, write_recipe
from train.threshold import Thresholds, choose

WEIGHTS = "model.weights.h5"
CALIBRATION_FILMS = 200
"""Training films kept with the run; they set the int8 ranges when a bundle is built."""


class RunError(Exception):
    """The folder is no run, or holds one already; the words name it and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedRun:
    """One trained network, read back. `network` takes `(grey - mean) / 255`."""

    folder: Path
    recipe: Recipe
    seed: int
    mean: float
    network: keras.Model
    operating: Mapping[str, Any]
    metrics: Mapping[str, Any]
    environment: Mapping[str, Any]


def start_run(out: Path, recipe: Recipe, films: Mapping[str, Films], *, images: Path) -> None:
    """Write what all seeds share. Raises RunError when the folder is in use."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out}: is there already; name another folder with --out, or delete it")
    out.mkdir(parents=True, exist_ok=True)
    write_recipe(recipe, out / "recipe.yaml")
    facts = {part: {"digest": films[part].digest, **films[part].counts()} for part in PARTS}
    write_json(out / "data.json", {"images": str(images.resolve()), "parts": facts})
    _write_csv(out / "films.csv", ("part", "file", "label", "patient_id", "sha256"), _film_lines(films))
    inputs, digests = calibration_films(films["train"])
    np.savez_compressed(out / "calibration.npz", images=inputs, sha256=np.array(digests))


def calibration_films(films: Films) -> tuple[NDArray[np.uint8], list[str]]:
    """A fixed choice of training films, as many of each class as there are, and their digests."""
    random = np.random.default_rng(0)
    groups = [random.permutation(np.flatnonzero(films.labels == label)) for label in (0, 1)]
    chosen = np.sort(np.concatenate([group[: CALIBRATION_FILMS // 2] for group in groups]))
    return films.images[chosen], [films.digests[index] for index in chosen]


def train_seed(
    out: Path, recipe: Recipe, films: Mapping[str, Films], seed: int, *, on_step: Callable[[Step], None]
) -> None:
    """Train one network, choose its operating point, measure it on the test films, write it all down."""
    trained = fit(recipe, films["train"], seed, on_step=on_step)
    folder = seed_folder(out, seed)
    folder.mkdir()
    trained.network.save_weights(folder / WEIGHTS)
    write_json(folder / "history.json", [asdict(step) for step in trained.history])
    write_json(folder / "environment.json", environment(recipe, films["train"], seed))
    logits = {part: scored(trained.network, films[part].images, trained.mean) for part in ("operating", "test")}
    write_scores(folder / "scores.csv", films["test"], logits["test"])
    write_scores(folder / "operating_scores.csv", films["operating"], logits["operating"])
    write_measures(folder, recipe, films, logits, trained)


def write_measures(
    folder: Path,
    recipe: Recipe,
    films: Mapping[str, Films],
    logits: Mapping[str, NDArray[np.float64]],
    trained: Trained,
) -> None:
    """operating.json from the operating films alone, then metrics.json on the test films."""
    section, held_out, test = recipe.operating_point, films["operating"], films["test"]
    calibration = fit_calibration(section.calibration, logits["operating"], held_out.labels, section.prevalence)
    chosen = choose(apply_calibration(calibration, logits["operating"]), held_out.labels, section)
    facts = {"mean": trained.mean, "calibration": calibration, "thresholds": asdict(chosen)}
    write_json(folder / "operating.json", {**facts, "films": held_out.counts(), "digest": held_out.digest})
    probabilities = apply_calibration(calibration, logits["test"])
    write_decisions(folder / "decisions.csv", test, logits["test"])
    measures = {
        "operating": _measure(held_out, logits["operating"], logits["operating"] > 0),
        "test": _measure(test, logits["test"], logits["test"] > 0),
        "test_at_flag": _measure(test, logits["test"], probabilities >= chosen.flag_at),
        "test_at_clear": _measure(test, logits["test"], probabilities >= chosen.clear_below),
        "test_flags": flag_counts(probabilities, test.labels, chosen),
    }
    write_json(folder / "metrics.json", measures)


def _measure(films: Films, logits: NDArray[np.float64], decided: NDArray[np.bool_]) -> dict[str, Any]:
    return evaluate(films.labels, logits, decided, films.patients).to_dict()


def flag_counts(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], chosen: Thresholds
) -> dict[str, dict[str, int]]:
    """How many films of each label get each flag."""
    flagged, cleared = probabilities >= chosen.flag_at, probabilities < chosen.clear_below
    masks = {"pneumonia": flagged, "review": ~flagged & ~cleared, "clear": cleared}
    names = {"normal": 0, "pneumonia": 1}
    return {flag: {n: int((mask & (labels == v)).sum()) for n, v in names.items()} for flag, mask in masks.items()}


def environment(recipe: Recipe, films: Films, seed: int) -> dict[str, Any]:
    """What it takes to make the same weights again."""
    packages = ("tensorflow", "keras", "numpy", "opencv-python-headless", "scikit-learn")
    present = [name for name in packages if name != "tensorflow"]
    versions = {name: version(name) for name in present} | {"tensorflow": _tensorflow_version()}
    return {
        "seed": seed,
        "recipe": recipe.name,
        "recipe_digest": recipe.digest,
        "data_digest": films.digest,
        "preprocess_version": PREPROCESS_VERSION,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "versions": dict(sorted(versions.items())),
    }


def _tensorflow_version() -> str:
    import tensorflow as tf  # noqa: PLC0415  the distribution has several names, the module one version

    return str(tf.__version__)


def seed_folder(run: Path, seed: int) -> Path:
    """Where one seed's files stand."""
    return run / f"seed-{seed}"


def seeds_of(run: Path) -> list[int]:
    """The finished seeds, ascending. Raises RunError when there is none."""
    found = [int(path.parent.name.removeprefix("seed-")) for path in run.glob("seed-*/metrics.json")]
    if not found:
        raise RunError(f"{run}: no finished seed in it; name a folder that `pneumoflag-train fit --out` wrote")
    return sorted(found)


def load_seed(run: Path, seed: int) -> SeedRun:
    """One trained network with all that was written beside it. Raises RunError, RecipeError."""
    folder, recipe = seed_folder(run, seed), load_recipe(run / "recipe.yaml")
    if not (folder / "metrics.json").is_file():
        raise RunError(f"{run}: seed {seed} is not in it; finished are {', '.join(map(str, seeds_of(run)))}")
    operating = read_json(folder / "operating.json")
    network = build(recipe.network, recipe.optimizer)
    network.load_weights(folder / WEIGHTS)
    return SeedRun(
        folder=folder, recipe=recipe, seed=seed, mean=operating["mean"], network=network, operating=operating,
        metrics=read_json(folder / "metrics.json"), environment=read_json(folder / "environment.json"),
    )  # fmt: skip


def write_scores(path: Path, films: Films, logits: NDArray[np.float64]) -> None:
    """case_id, the film's true label, the uncalibrated score and its logit. Fits `compare-files --reads`."""
    lines = zip(films.cases, films.labels, expit(logits), logits, strict=True)
    _write_csv(
        path, ("case_id", "label", "score", "logit"), [(c, int(y), f"{s:.9g}", f"{z:.9g}") for c, y, s, z in lines]
    )


def write_decisions(path: Path, films: Films, logits: NDArray[np.float64]) -> None:
    """case_id, what the network calls it (logit above 0), score. Fits `compare-files --system`."""
    lines = zip(films.cases, logits > 0, expit(logits), strict=True)
    _write_csv(path, ("case_id", "label", "score"), [(c, int(d), f"{s:.9g}") for c, d, s in lines])


def _film_lines(films: Mapping[str, Films]) -> list[tuple[Any, ...]]:
    return [
        (part, case, int(label), patient, digest)
        for part in PARTS
        for case, label, patient, digest in zip(
            films[part].cases, films[part].labels, films[part].patients, films[part].digests, strict=True
        )
    ]


def _write_csv(path: Path, header: Sequence[str], lines: Sequence[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *lines])


def write_json(path: Path, value: Any) -> None:
    """Indented, a newline at the end."""
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Raises RunError for a missing or damaged file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error}); train the run again") from None
