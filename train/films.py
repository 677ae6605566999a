"""Films: the path of a film comes in; its grey values as the box would see them, and its digest, go out."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from device.preprocess import AS_IS, preprocess


class UnreadableFilm(Exception):
    """The film does not decode; the words say why."""


def read_film(path: Path) -> tuple[NDArray[np.uint8], str]:
    """uint8 (224, 224) and the SHA-256 of the file, hex. Raises UnreadableFilm."""
    content = path.read_bytes()
    grey = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE) if content else None
    if grey is None:
        raise UnreadableFilm("does not decode as an image")
    return preprocess(grey, AS_IS), hashlib.sha256(content).hexdigest()
