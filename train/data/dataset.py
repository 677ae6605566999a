"""Load labelled images: a manifest and a folder of files come in; an array and a table for each part go out.

Every fault of the manifest is reported before training starts, with its row and remedy.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from train.data.duplicates import Pair, find_pairs
from train.data.images import Read, UnreadableImage, read_images
from train.data.manifest import (
    LABELS,
    PARTS,
    ManifestError,
    Row,
    age_faults,
    manifest_faults,
    need_sources,
    needed_columns,
    raise_if,
    read_table,
    table_rows,
    too_young,
)
from train.recipe import DataSection

OnImage = Callable[[int, int], None]
COLUMNS = ("file", "label", "patient", "digest", "source", "tier", "view", "sex", "age")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledImages:
    """Images of one part: `images` uint8 (n, 224, 224) beside `table`, one row each with the COLUMNS.

    `label` is 0 for normal and 1 for pneumonia. `patient` is the patient, or without one the cluster of duplicates; no
    two parts share one. `digest` is the SHA-256 of the file, hex. `source`, `tier`, `view` and `sex` are "" and `age`
    (years) is NaN where the manifest has nothing. Raises ValueError for a table of another length.
    """

    images: NDArray[np.uint8]
    table: pd.DataFrame

    def __post_init__(self) -> None:
        if len(self.images) != len(self.table):
            raise ValueError(f"expected one row for each of {len(self.images)} images, got {len(self.table)}")

    def __len__(self) -> int:
        return len(self.table)

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,), 0 or 1."""
        return self.table["label"].to_numpy(np.int64)

    @property
    def ages(self) -> NDArray[np.float64]:
        """(n,), years or NaN."""
        return self.table["age"].to_numpy(np.float64)

    @property
    def files(self) -> tuple[str, ...]:
        """Paths as the manifest has them."""
        return tuple(self.table["file"])

    @property
    def patients(self) -> tuple[str, ...]:
        """The patient of each image, or its cluster of duplicates."""
        return tuple(self.table["patient"])

    @property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each file, hex."""
        return tuple(self.table["digest"])

    @property
    def sources(self) -> tuple[str, ...]:
        """The source of each image, or ""."""
        return tuple(self.table["source"])

    @property
    def tiers(self) -> tuple[str, ...]:
        """How the label of each image was made, as the manifest grades it, or ""."""
        return tuple(self.table["tier"])

    @property
    def views(self) -> tuple[str, ...]:
        """The view position of each image, such as PA or AP, or ""."""
        return tuple(self.table["view"])

    @property
    def digest(self) -> str:
        """SHA-256 over the images' own digests and labels, in order, hex."""
        lines = [f"{digest} {label}\n" for digest, label in zip(self.digests, self.labels, strict=True)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def counts(self) -> dict[str, int]:
        """Images by label, and patients."""
        by_label = {name: int((self.labels == value).sum()) for name, value in LABELS.items()}
        return {**by_label, "patients": len(set(self.patients))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The images of each part, and how many rows were left out, by reason."""

    parts: Mapping[str, LabelledImages]
    left_out: Mapping[str, int]


def load_dataset(
    manifest: Path,
    image_folder: Path,
    section: DataSection,
    *,
    without_sources: Sequence[str] = (),
    on_image: OnImage = lambda *_: None,
) -> dict[str, LabelledImages]:
    """Return the images of each part. Parameters and errors are those of `load`."""
    return dict(load(manifest, image_folder, section, without_sources=without_sources, on_image=on_image).parts)


def load(
    manifest: Path,
    image_folder: Path,
    section: DataSection,
    *,
    without_sources: Sequence[str] = (),
    on_image: OnImage = lambda *_: None,
    on_compare: OnImage = lambda *_: None,
) -> Loaded:
    """Return the images of each part, and how many images were left out.

    Images of `without_sources` are left out of every part. A near-duplicate in two parts is an error, or is left out
    of training first and of the operating images next, as the recipe says. `on_image(done, of)` reports progress, and
    `on_compare(done, of)` that of the search for duplicates. Raises ManifestError with every fault, and for a source
    that the manifest does not have.
    """
    rows, left_out = _rows_of_parts(manifest, section, without_sources)
    raise_if(manifest, manifest_faults(rows, image_folder))
    read = _read(manifest, image_folder, rows, on_image)
    pairs = find_pairs(np.stack([image for image, _ in read]), on_step=on_compare)
    across = [pair for pair in pairs if rows[pair.first].part != rows[pair.second].part]
    copies: set[int] = set()
    if section.near_duplicates == "error":
        raise_if(manifest, duplicate_faults(rows, across))
    else:
        copies = copies_left_out(rows, across)
    kept = [place for place in range(len(rows)) if place not in copies]
    raise_if(manifest, manifest_faults([rows[place] for place in kept], image_folder))
    parts = {part: _stack([(rows[i], read[i]) for i in kept if rows[i].part == part]) for part in PARTS}
    left_out = {**left_out, "near-duplicate of an image in another part": len(copies)}
    return Loaded(parts=parts, left_out={reason: count for reason, count in left_out.items() if count})


def read_rows(manifest: Path, section: DataSection) -> list[Row]:
    """Return the rows that play a part, in the manifest's order. Raises ManifestError for missing columns."""
    return _rows_of_parts(manifest, section, ())[0]


def _rows_of_parts(
    manifest: Path, section: DataSection, without_sources: Sequence[str]
) -> tuple[list[Row], dict[str, int]]:
    """Return the rows that play a part, and how many others were left out, by reason."""
    table = read_table(manifest, needed_columns(section))
    need_sources(manifest, table, without_sources)
    raise_if(manifest, age_faults(table))
    every = [row for row in table_rows(table, section) if row.part]
    of_age = [row for row in every if not too_young(row, section)]
    removed = Counter(row.source for row in of_age if row.source in without_sources)
    rows = [row for row in of_age if row.source not in without_sources]
    left_out = {f"younger than {section.min_years} years": len(every) - len(of_age)}
    return rows, left_out | {f"source {name}": removed[name] for name in sorted(removed)}


def _read(manifest: Path, image_folder: Path, rows: Sequence[Row], on_image: OnImage) -> list[Read]:
    read, faults = try_read_images(image_folder, rows, on_image=on_image)
    raise_if(manifest, faults)
    return [image for image in read if image is not None]


def try_read_images(
    image_folder: Path, rows: Sequence[Row], *, on_image: OnImage = lambda *_: None
) -> tuple[list[Read | None], list[str]]:
    """Return each row's image, None where it does not decode, and a fault for each of those."""
    read: list[Read | None] = []
    faults = []
    outcomes = read_images([image_folder / row.file for row in rows])
    for row, outcome in zip(rows, outcomes, strict=True):
        if isinstance(outcome, UnreadableImage):
            faults.append(f"{row.name}: {outcome}; fix the file or delete the row")
        read.append(None if isinstance(outcome, UnreadableImage) else outcome)
        on_image(len(read), len(rows))
    return read, faults


def duplicate_faults(rows: Sequence[Row], pairs: Sequence[Pair]) -> list[str]:
    """List the pairs of near-duplicates that are in two parts."""
    remedy = "move both to one part, give them one cluster_id and split again, or delete one"
    return [
        f"{rows[pair.first].name} in {rows[pair.first].part} and {rows[pair.second].name} in {rows[pair.second].part} "
        f"show one exposure{', mirrored' if pair.mirrored else ''} (similarity {pair.similarity:.2f}); {remedy}"
        for pair in pairs
        if rows[pair.first].part != rows[pair.second].part
    ]


def copies_left_out(rows: Sequence[Row], pairs: Sequence[Pair]) -> set[int]:
    """Return which image of each pair is left out: train gives way to operating, and both to test."""
    across = [(pair.first, pair.second) for pair in pairs if rows[pair.first].part != rows[pair.second].part]
    return {min(pair, key=lambda place: PARTS.index(rows[place].part)) for pair in across}


def _stack(pairs: Sequence[tuple[Row, Read]]) -> LabelledImages:
    lines = [
        (row.file, LABELS[row.label], row.person, digest, row.source, row.tier, row.view, row.sex, row.age)
        for row, (_, digest) in pairs
    ]
    table = pd.DataFrame(lines, columns=list(COLUMNS)).astype({"label": np.int64, "age": np.float64})
    return LabelledImages(images=np.stack([image for _, (image, _) in pairs]), table=table)


__all__ = [
    "COLUMNS",
    "LABELS",
    "PARTS",
    "LabelledImages",
    "Loaded",
    "ManifestError",
    "Row",
    "load",
    "load_dataset",
    "read_rows",
]
