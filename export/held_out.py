"""Held out: a run comes in; its test films go out, if they are still where they were and unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from train.films import Read, UnreadableFilm, read_films
from train.run import RunError, read_json


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Test films: `images` uint8 (n, 224, 224), `labels` int64 (n,), patients; `words` says which they are."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    patients: tuple[str, ...]
    words: str


def load_held_out(run: Path, images: Path | None) -> HeldOut | None:
    """None when the run's own folder is gone and none was named. Raises RunError for films that changed."""
    folder = images or Path(read_json(run / "data.json")["images"])
    if images is None and not folder.is_dir():
        return None
    table = pd.read_csv(run / "films.csv", dtype={"patient_id": str, "sha256": str})
    test = table[table["part"] == "test"]
    paths = [folder / file for file in test["file"]]
    outcomes = zip(paths, test["sha256"], read_films(paths), strict=True)
    films = [_unchanged(path, digest, outcome) for path, digest, outcome in outcomes]
    return HeldOut(
        images=np.stack(films),
        labels=test["label"].to_numpy(np.int64),
        patients=tuple(test["patient_id"]),
        words=_words(test["label"].tolist()),
    )


def _unchanged(path: Path, digest: str, outcome: Read | UnreadableFilm) -> NDArray[np.uint8]:
    if isinstance(outcome, UnreadableFilm):
        raise RunError(f"{path}: {outcome}; name the folder of the run's films with --images")
    film, found = outcome
    if found != digest:
        raise RunError(f"{path}: not the film that the run was measured on; name its folder with --images")
    return film


def _words(labels: Sequence[int]) -> str:
    positives = sum(labels)
    return f"{len(labels) - positives} normal and {positives} pneumonia films, patients apart from training"
