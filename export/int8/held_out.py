"""Load held-out images: a run comes in; its images that trained nothing go out, if they are in place and unchanged."""

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
from train.run.run_folder import RunError
from train.run.trained_run import TrainedRun

COLUMNS = ("source", "tier", "view", "sex", "age")
REMEDY = "name the folder of the run's images with --images"


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherDataset:
    """Images of another manifest, to be classified as well: file, label and patient_id of all its rows."""

    manifest: Path
    images: Path


def load_held_out(
    run: TrainedRun, images: Path | None, further: Sequence[FurtherDataset] = ()
) -> dict[str, LabelledImages] | None:
    """Load the parts `test` and `operating`, then `further` by the name of the manifest's file.

    None when the run's own folder is gone and no other was named. Raises RunError for missing or changed images,
    ManifestError.
    """
    folder = images or run.image_folder
    if images is None and not folder.is_dir():
        return None
    table = run.images
    parts = {part: _load_part(folder, table[table["part"] == part]) for part in ("test", "operating")}
    return parts | {dataset.manifest.stem: _load_further(dataset) for dataset in further}


def _load_part(folder: Path, rows: pd.DataFrame) -> LabelledImages:
    images = []
    for path, (image, digest), expected in _read(folder, rows):
        if digest != expected:
            raise RunError(f"{path}: not the image that the run was measured on; {REMEDY}")
        images.append(image)
    return _labelled(rows, rows["label"].to_numpy(np.int64), images, tuple(rows["sha256"]))


def _load_further(further: FurtherDataset) -> LabelledImages:
    """Load all images of a manifest, whatever part it gives them."""
    rows = read_table(further.manifest, ("file", "label", "patient_id"))
    if unknown := sorted(set(rows["label"]) - set(LABELS)):
        raise RunError(f"{further.manifest}: label: expected {' or '.join(LABELS)}, got {unknown[0]!r}; correct it")
    contents = [content for _, content, _ in _read(further.images, rows.assign(sha256=""))]
    labels = rows["label"].map(LABELS).to_numpy(np.int64)
    return _labelled(rows, labels, [image for image, _ in contents], tuple(digest for _, digest in contents))


def _read(folder: Path, rows: pd.DataFrame) -> list[tuple[Path, Read, str]]:
    """Return path, content and expected digest of each row's file."""
    paths = [folder / file for file in rows["file"]]
    contents = []
    for path, digest, outcome in zip(paths, rows["sha256"], read_images(paths), strict=True):
        if isinstance(outcome, UnreadableImage):
            raise RunError(f"{path}: {outcome}; {REMEDY}")
        contents.append((path, outcome, digest))
    return contents


def _labelled(
    rows: pd.DataFrame, labels: NDArray[np.int64], images: Sequence[NDArray[np.uint8]], digests: tuple[str, ...]
) -> LabelledImages:
    blank = pd.Series("", index=rows.index)
    texts = {name: rows.get(name, blank) for name in COLUMNS}
    ages = [years(age) for age in texts.pop("age")]
    table = pd.DataFrame(
        {"file": rows["file"], "label": labels, "patient": rows["patient_id"], "digest": digests, **texts, "age": ages}
    )
    return LabelledImages(images=np.stack(images), table=table.astype({"age": np.float64}).reset_index(drop=True))
