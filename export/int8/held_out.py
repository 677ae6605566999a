"""Held out: a run comes in; its films that trained nothing go out, if they are still where they were and unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from train.data.dataset import LABELS, LabelledImages
from train.data.images import Read, UnreadableImage, read_images
from train.data.manifest import read_table, years
from train.run.run_folder import RunError, read_json

COLUMNS = ("source", "tier", "view", "sex", "age")
MOVED = "name the folder of the run's films with --images"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """Films of another manifest, to be judged as well: file, label and patient_id, all rows."""

    manifest: Path
    images: Path


def load_held_out(run: Path, images: Path | None) -> dict[str, LabelledImages] | None:
    """The films of parts test and operating. None when the run's own folder is gone and none was named.

    Raises RunError for films that are missing or changed.
    """
    folder = images or Path(read_json(run / "data.json")["images"])
    if images is None and not folder.is_dir():
        return None
    table = pd.read_csv(run / "images.csv", dtype=str, keep_default_na=False)
    return {part: _part(folder, table[table["part"] == part]) for part in ("test", "operating")}


def _part(folder: Path, rows: pd.DataFrame) -> LabelledImages:
    paths = [folder / file for file in rows["file"]]
    outcomes = zip(paths, rows["sha256"], read_images(paths), strict=True)
    films = [_unchanged(path, digest, outcome) for path, digest, outcome in outcomes]
    return _films(rows, rows["label"].to_numpy(np.int64), films, tuple(rows["sha256"]))


def load_extra(extra: Extra) -> LabelledImages:
    """All films of a manifest, whatever part they play. Raises ManifestError, RunError."""
    rows = read_table(extra.manifest, ("file", "label", "patient_id"))
    if wrong := sorted(set(rows["label"]) - set(LABELS)):
        raise RunError(f"{extra.manifest}: label {wrong[0]!r}, {' or '.join(LABELS)} expected; correct it")
    paths = [extra.images / file for file in rows["file"]]
    films = [_readable(path, outcome) for path, outcome in zip(paths, read_images(paths), strict=True)]
    labels = rows["label"].map(LABELS).to_numpy(np.int64)
    return _films(rows, labels, [film for film, _ in films], tuple(digest for _, digest in films))


def _films(
    rows: pd.DataFrame, labels: NDArray[np.int64], films: Sequence[NDArray[np.uint8]], digests: tuple[str, ...]
) -> LabelledImages:
    said = {name: tuple(rows[name]) if name in rows else ("",) * len(rows) for name in COLUMNS}
    ages = [years(age) for age in said["age"]]
    return LabelledImages(
        images=np.stack(films), labels=labels, files=tuple(rows["file"]), patients=tuple(rows["patient_id"]),
        digests=digests, sources=said["source"], tiers=said["tier"], views=said["view"], sexes=said["sex"],
        ages=np.array([np.nan if age is None else age for age in ages], np.float64),
    )  # fmt: skip


def _readable(path: Path, outcome: Read | UnreadableImage) -> Read:
    if isinstance(outcome, UnreadableImage):
        raise RunError(f"{path}: {outcome}; {MOVED}")
    return outcome


def _unchanged(path: Path, digest: str, outcome: Read | UnreadableImage) -> NDArray[np.uint8]:
    film, found = _readable(path, outcome)
    if found != digest:
        raise RunError(f"{path}: not the film that the run was measured on; {MOVED}")
    return film
