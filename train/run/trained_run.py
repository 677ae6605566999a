"""One trained network of a run's folder, with everything recorded about it: what export takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from train.calibration.operating_point import HeldOutLogits
from train.fitting.history import Step
from train.networks.predictor import Predictor
from train.recipe import Recipe
from train.run.records import EnvironmentRecord, MetricsRecord, OperatingRecord, PartCounts
from train.run.report import RunSummary, released_network, summarise
from train.run.run_folder import (
    CALIBRATION,
    IMAGES,
    NetworkChoice,
    RunError,
    load_predictor,
    read_data,
    read_environment,
    read_history,
    read_metrics,
    read_operating,
    read_recipe,
    seed_folder,
    seeds_of,
)
from train.run.score_files import read_decided_scores, read_operating_logits


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationImages:
    """The training images that set int8's ranges: `images` uint8 (n, 224, 224), `digests` SHA-256 hex of each file."""

    images: NDArray[np.uint8]
    digests: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """One trained network of a run, read back. `load_trained_run` makes it.

    `folder` is the run's, `seed` the network's, AVERAGED for the mean of all seeds' weights; `seeds` are all finished
    ones. `parts` describes what the run was trained on, and `image_folder` is where those files were. The cached
    properties read further files of the run on first use; each raises RunError where its file is missing or damaged.
    """

    folder: Path
    recipe: Recipe
    seed: NetworkChoice
    seeds: tuple[int, ...]
    predictor: Predictor
    operating: OperatingRecord
    metrics: MetricsRecord
    environment: EnvironmentRecord
    parts: Mapping[str, PartCounts]
    image_folder: Path

    @property
    def operating_logit(self) -> float:
        """The logit from which an image is classified as positive; where none was chosen, the first number above 0."""
        chosen = self.operating.operating_logit
        # TensorFlow makes the processor flush subnormal numbers to 0.
        return float(np.finfo(np.float64).tiny) if chosen is None else float(chosen)

    @cached_property
    def summary(self) -> RunSummary:
        """Measures over all seeds, as `train report` shows them."""
        return summarise(self.folder)

    @cached_property
    def operating_logits(self) -> HeldOutLogits:
        """Keras logits of the images that chose the operating point; no weight was fitted on them."""
        return read_operating_logits(seed_folder(self.folder, self.seed))

    @cached_property
    def histories(self) -> Mapping[int, tuple[Step, ...]]:
        """The batches of each seed's training; empty where there were none."""
        return {seed: read_history(self.folder, seed) for seed in self.seeds}

    @cached_property
    def calibration_images(self) -> CalibrationImages:
        """Images for int8 calibration, kept with the run."""
        path = self.folder / CALIBRATION
        try:
            with np.load(path, allow_pickle=False) as arrays:
                digests = tuple(str(digest) for digest in arrays["sha256"])
                return CalibrationImages(images=arrays["images"], digests=digests)
        except (OSError, ValueError, KeyError) as error:
            raise RunError(f"{path}: cannot be read ({error}); train the run again") from None

    @cached_property
    def images(self) -> pd.DataFrame:
        """Every image of the run, all columns as text: part, file, label, patient_id, sha256, source and so on."""
        path = self.folder / IMAGES
        try:
            return pd.read_csv(path, dtype=str, keep_default_na=False)
        except (OSError, ValueError) as error:
            raise RunError(f"{path}: cannot be read ({error}); train the run again") from None

    @cached_property
    def test_scores(self) -> pd.DataFrame:
        """Test images whose labels count, indexed by sha256: label, logit, decided (0 or 1). Duplicates stand once."""
        test = self.images[self.images["part"] == "test"].set_index("file")["sha256"]
        try:
            scores = read_decided_scores(seed_folder(self.folder, self.seed)).join(test, how="inner")
        except (OSError, ValueError, KeyError) as error:
            raise RunError(f"{self.folder}: its scores cannot be read ({error}); train the run again") from None
        return scores.drop_duplicates("sha256").set_index("sha256")


def load_trained_run(run: Path, seed: NetworkChoice | None = None) -> TrainedRun:
    """Return the network of `seed`; None: the one that the run releases. Raises RunError."""
    chosen = released_network(run, summarise(run)) if seed is None else seed
    predictor, data = load_predictor(run, chosen), read_data(run)
    return TrainedRun(
        folder=run,
        recipe=read_recipe(run),
        seed=chosen,
        seeds=tuple(seeds_of(run)),
        predictor=predictor,
        operating=read_operating(run, chosen),
        metrics=read_metrics(run, chosen),
        environment=read_environment(run, chosen),
        parts=data.parts,
        image_folder=Path(data.images),
    )
