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

Read = tuple[NDArray[np.uint8], str]
"""uint8 (224, 224) and the SHA-256 of the file, hex."""


class UnreadableImage(Exception):
    """The image cannot be read or decoded; the message states why."""


def read_images(paths: Sequence[Path]) -> Iterator[Read | UnreadableImage]:
    """Yield each image in order, or why it could not be read; several are read at a time."""
    # The small matrix products of preprocessing are nine times slower when BLAS splits each over all cores.
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor() as pool:
        yield from pool.map(_attempt, paths)


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
