"""Read image files as the box reads them, with the digest of each file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from device.dicom.reader import Refused, read_grey
from device.preprocess.render import INPUT_SHAPE
from train.data.manifest import ManifestError

Read = tuple[NDArray[np.uint8], str]
"""uint8 (224, 224) and the SHA-256 of the file, hex."""


IMAGE_SUFFIXES = {".dcm", ".jpeg", ".jpg", ".png"}
REJECTED_IMAGES = 400
"""So many images suffice to learn what must be rejected."""


class UnreadableImage(Exception):
    """The image cannot be read or decoded; the message states why."""


def read_images(paths: Sequence[Path]) -> Iterator[Read | UnreadableImage]:
    """Yield each image in order, or why it could not be read; several are read at a time."""
    # The small matrix products of preprocessing are nine times slower when BLAS splits each over all cores.
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor() as pool:
        yield from pool.map(_attempt, paths)


def rejected_images(folder: Path | None) -> NDArray[np.uint8]:
    """Return a fixed choice of the images anywhere in a folder, uint8 (n, 224, 224); none without a folder.

    Raises ManifestError for a folder without readable images.
    """
    if folder is None:
        return np.zeros((0, *INPUT_SHAPE), np.uint8)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    chosen = np.random.default_rng(0).permutation(len(paths))[:REJECTED_IMAGES]
    images = [read[0] for read in read_images([paths[index] for index in sorted(chosen)]) if isinstance(read, tuple)]
    if not images:
        raise ManifestError(f"{folder}: no readable image in it; name a folder of JPEG, PNG or DICOM files")
    return np.stack(images)


def read_image(path: Path) -> Read:
    """Read a JPEG, PNG or DICOM file. Raises UnreadableImage."""
    try:
        return read_grey(path), hashlib.sha256(path.read_bytes()).hexdigest()
    except Refused as refusal:
        raise UnreadableImage(f"does not decode as an image ({refusal.reason})") from None
    except OSError as error:
        raise UnreadableImage(f"cannot be read ({error.strerror})") from None


def _attempt(path: Path) -> Read | UnreadableImage:
    try:
        return read_image(path)
    except UnreadableImage as error:
        return error
