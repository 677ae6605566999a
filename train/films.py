"""Films: the path of a film comes in; its grey values as the box would see them, and its digest, go out."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.decode import Refused, read_grey


class UnreadableFilm(Exception):
    """The film does not decode; the words say why."""


def read_film(path: Path) -> tuple[NDArray[np.uint8], str]:
    """uint8 (224, 224) of a JPEG, PNG or DICOM file, and the SHA-256 of the file, hex. Raises UnreadableFilm."""
    try:
        return read_grey(path), hashlib.sha256(path.read_bytes()).hexdigest()
    except Refused as refusal:
        raise UnreadableFilm(f"does not decode as a film ({refusal.reason})") from None
    except OSError as error:
        raise UnreadableFilm(f"cannot be read ({error.strerror})") from None
