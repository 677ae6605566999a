"""Augmentation of training images, by named policies.

`exposure` changes what another room, scanner or technologist would change and leaves the patient alone. Images change
before they are brought to the network's tone, as they would on the box.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Random = np.random.Generator
Change = Callable[[Grey, Grey, Random], Grey]
"""An image, another image of the training part, a source of randomness; the changed image, uint8 (rows, columns)."""


def changed(policy: str, image: Grey, other: Grey, random: Random) -> Grey:
    """`image` uint8 (rows, columns) under a policy. `other` lends its grey values to some changes."""
    for change, chance in POLICIES[policy]:
        if random.random() < chance:
            image = change(image, other, random)
    return image


def mirror(image: Grey, _other: Grey, _random: Random) -> Grey:
    """Left for right: an image hung the wrong way round."""
    return np.ascontiguousarray(image[:, ::-1])


def move(image: Grey, _other: Grey, random: Random) -> Grey:
    """Rotation to 10 degrees, scale 0.85 to 1.2, shift to 6 %: how the patient stood and how far the tube was."""
    rows, columns = image.shape
    scale = float(np.exp(random.uniform(np.log(0.85), np.log(1.2))))
    turn = cv2.getRotationMatrix2D((columns / 2, rows / 2), random.uniform(-10, 10), scale)
    turn = turn + np.array([[0, 0, columns * random.uniform(-0.06, 0.06)], [0, 0, rows * random.uniform(-0.06, 0.06)]])
    edge = cv2.BORDER_CONSTANT if random.random() < 0.5 else cv2.BORDER_REPLICATE
    return np.asarray(cv2.warpAffine(image, turn, (columns, rows), flags=cv2.INTER_LINEAR, borderMode=edge), np.uint8)


def window(image: Grey, _other: Grey, random: Random) -> Grey:
    """Another window and gamma: exposure, detector curve and processing."""
    low, high = random.uniform(-40, 40), random.uniform(-40, 40)
    share = np.clip((np.arange(256) + low) / max(255 + low + high, 120), 0, 1)
    return _through(image, share ** np.exp(random.uniform(-0.5, 0.5)) * 255)


def match_histogram(image: Grey, other: Grey, random: Random) -> Grey:
    """Part of the way to another image's histogram: one scanner's processing on another's image."""
    have, want = (np.cumsum(np.bincount(picture.ravel(), minlength=256)) / picture.size for picture in (image, other))
    match = np.interp(have, want, np.arange(256))
    share = random.uniform(0.0, 0.8)
    return _through(image, (1 - share) * np.arange(256) + share * match)


def blur(image: Grey, _other: Grey, random: Random) -> Grey:
    """Focal spot, motion, a coarser detector: sigma to 1.6 pixels."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), random.uniform(0.3, 1.6)), np.uint8)


def sharpen(image: Grey, _other: Grey, random: Random) -> Grey:
    """Edge enhancement as modalities do it: an unsharp mask."""
    soft = cv2.GaussianBlur(image, (0, 0), random.uniform(0.8, 3.0))
    amount = random.uniform(0.2, 1.2)
    return np.asarray(cv2.addWeighted(image, 1 + amount, soft, -amount, 0), np.uint8)


def noise(image: Grey, _other: Grey, random: Random) -> Grey:
    """Quantum noise: fewer photons, more grain, most where the image is bright (little light reached the detector)."""
    grain = random.standard_normal(image.shape, np.float32) * (random.uniform(1, 9) * np.sqrt(0.3 + image / 255.0))
    return np.clip(np.rint(image + grain), 0, 255).astype(np.uint8)


def collimate(image: Grey, _other: Grey, random: Random) -> Grey:
    """Black edges to 12 %: the diaphragm."""
    rows, columns = image.shape
    top, bottom, left, right = (int(share) for share in random.uniform(0, 0.12, 4) * (rows, rows, columns, columns))
    shut = np.zeros_like(image)
    shut[top : rows - bottom, left : columns - right] = image[top : rows - bottom, left : columns - right]
    return shut


def mark(image: Grey, _other: Grey, random: Random) -> Grey:
    """A side marker or a label in a corner."""
    rows, columns = image.shape
    place = (int(random.choice([0.03, 0.8]) * columns), int(random.uniform(0.08, 0.3) * rows))
    words = str(random.choice(["R", "L", "AP", "PORTABLE", "SUPINE"]))
    marked = image.copy()
    grey = int(random.integers(160, 256))
    cv2.putText(marked, words, place, cv2.FONT_HERSHEY_SIMPLEX, random.uniform(0.3, 0.8), grey, 1, cv2.LINE_AA)
    return marked


def compress(image: Grey, _other: Grey, random: Random) -> Grey:
    """A JPEG of quality 30 to 90."""
    _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(30, 91))])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)


def coarsen(image: Grey, _other: Grey, random: Random) -> Grey:
    """A detour over fewer pixels: images that were small once."""
    rows, columns = image.shape
    share = random.uniform(0.4, 0.9)
    small = cv2.resize(image, (int(columns * share), int(rows * share)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (columns, rows), interpolation=cv2.INTER_LINEAR), np.uint8)


def invert(image: Grey, _other: Grey, _random: Random) -> Grey:
    """A wrong photometric interpretation."""
    return np.subtract(255, image, dtype=np.uint8)


def _through(image: Grey, table: NDArray[np.float64]) -> Grey:
    return np.asarray(cv2.LUT(image, np.clip(np.rint(table), 0, 255).astype(np.uint8)), np.uint8)


POLICIES: dict[str, tuple[tuple[Change, float], ...]] = {
    "none": (),
    "exposure": (
        (mirror, 0.3),
        (move, 0.8),
        (match_histogram, 0.3),
        (window, 0.7),
        (coarsen, 0.2),
        (blur, 0.3),
        (sharpen, 0.2),
        (noise, 0.4),
        (collimate, 0.25),
        (mark, 0.3),
        (compress, 0.15),
        (invert, 0.02),
    ),
}
"""What is tried on each image in turn, and the chance of each."""
