"""Split a manifest into parts by patient and near-duplicate, with the same mix of labels and sources in each.

Groups are patients, clusters of duplicates and near-duplicates, joined. Labels and sources keep their mix in each part:
after Sechidis et al. (2011), the group that is hardest to place goes first, to the part that lacks most of its strata.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from train.data.dataset import try_read_images
from train.data.duplicates import clusters, find_pairs, same_value
from train.data.manifest import (
    Row,
    age_faults,
    anonymous_faults,
    file_faults,
    label_faults,
    raise_if,
    read_table,
    table_rows,
)
from train.recipe import DataSection

Progress = Callable[[str, int, int], None]
Counts = NDArray[np.float64]


class SplitError(ValueError):
    """The shares or the output file cannot be used; the message states what was expected."""


def parse_shares(text: str) -> dict[str, float]:
    """Parse `train=.7,validation=.15,test=.15` into shares by part. Raises SplitError."""
    try:
        shares = {name.strip(): float(value) for name, value in (part.split("=") for part in text.split(","))}
    except ValueError:
        raise SplitError(f"--share: expected shares such as train=.7,validation=.15,test=.15, got {text!r}") from None
    if not all(shares) or len(shares) != text.count(",") + 1 or min(shares.values()) <= 0:
        raise SplitError(f"--share: expected each part once, with a name and a share above 0, got {text!r}")
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise SplitError(f"--share: expected shares that add up to 1, got {sum(shares.values()):g} ({text!r})")
    return shares


def split_manifest(
    manifest: Path,
    image_folder: Path,
    out: Path,
    *,
    shares: Mapping[str, float],
    seed: int,
    on_progress: Progress = lambda *_: None,
) -> dict[str, int]:
    """Write a new manifest with a column `split`, and return the number of images by part.

    Near-duplicates without a cluster_id get one, so that they stay together in later splits. Raises ManifestError,
    SplitError.
    """
    if out.exists():
        raise SplitError(f"{out}: already exists; name another file with --out, or delete it")
    table = read_table(manifest, ("file", "label", "patient_id"))
    rows = list(table_rows(table, DataSection()))
    faults = [*label_faults(rows), *file_faults(rows, image_folder), *anonymous_faults(rows)]
    raise_if(manifest, [*age_faults(table), *faults])
    read, faults = try_read_images(image_folder, rows, on_image=partial(on_progress, "reading images"))
    raise_if(manifest, faults)
    images = np.stack([image for image, _ in filter(None, read)])
    duplicates = find_pairs(images, on_step=partial(on_progress, "comparing images"))
    pairs = [(pair.first, pair.second) for pair in duplicates]
    parts = split(rows, pairs, shares=shares, seed=seed)
    table["split"] = parts
    table["cluster_id"] = _cluster_names(rows, pairs)
    out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(out, index=False, lineterminator="\n")
    return {part: parts.count(part) for part in shares}


def split(
    rows: Sequence[Row], pairs: Sequence[tuple[int, int]], *, shares: Mapping[str, float], seed: int
) -> list[str]:
    """Return the part of each row. Each patient, cluster and pair of near-duplicates is in one part.

    The same seed gives the same split.
    """
    links = [*same_value([row.patient for row in rows]), *same_value([row.cluster for row in rows]), *pairs]
    group = clusters(len(rows), links)
    strata = sorted({(row.label, row.source) for row in rows})
    counts = np.zeros((group.max() + 1, len(strata)))
    for number, row in zip(group, rows, strict=True):
        counts[number, strata.index((row.label, row.source))] += 1
    placed = _place(counts, np.array([*shares.values()]), np.random.default_rng(seed))
    names = list(shares)
    return [names[placed[number]] for number in group]


def _place(counts: Counts, shares: Counts, random: np.random.Generator) -> NDArray[np.int64]:
    """Return the part (groups,) of each group with `counts` (groups, strata) of images."""
    order = random.permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    totals = counts.sum(axis=0)
    lacking = shares[:, None] * totals
    placed = np.zeros(len(counts), np.int64)
    for number in order:
        weight = counts[number] / totals
        # What a part lacks of these strata, as a share of what it is to have; the larger part breaks ties.
        need = (lacking / (shares[:, None] * totals)) @ weight
        placed[number] = int(np.lexsort((-shares, -need.round(12)))[0])
        lacking[placed[number]] -= counts[number]
    return placed


def _cluster_names(rows: Sequence[Row], pairs: Sequence[tuple[int, int]]) -> list[str]:
    """Return each row's cluster_id; near-duplicates without one share a new one, named after the first image's line."""
    paired = {place for pair in pairs for place in pair}
    group = clusters(len(rows), pairs)
    first: dict[int, int] = {}
    names = []
    for place, row in enumerate(rows):
        line = rows[first.setdefault(int(group[place]), place)].line
        names.append(row.cluster or (f"duplicate-{line}" if place in paired else ""))
    return names
