"""Augmentation of training images: the same patient as another hospital would have shown them.

Everything here changes how an image was made and leaves the patient alone: positioning, exposure, processing, noise,
collimation, markers and compression. `with_acquisition_style` goes furthest: it gives an image the acquisition style
of another one. Trained on images in the style of the *other* class, a network gains nothing from telling styles apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Grey = NDArray[np.float32]
"""Grey values as float32 (rows, columns), nominally 0 to 255."""
Random = np.random.Generator
Change = Callable[[Grey, Random], Grey]
Augmentation = Literal["none", "exposure"]
BAND_SIGMAS = (1.0, 2.0, 4.0, 8.0)
"""Pixels at 224: band k holds what a Gaussian of sigma k removes from the band before."""


def augmented(image: Image, donor: Image | None, random: Random, *, side: int) -> Image:
    """Return a changed copy of `image` uint8 (rows, columns) as uint8 (side, side).

    `donor`, of the same shape, lends its acquisition style; None: the image keeps its own.
    """
    if donor is not None:
        image = with_acquisition_style(image, donor, random)
    grey = reposition(image, random, side)
    for change, chance in CHANGES:
        if random.random() < chance:
            grey = change(grey, random)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def with_acquisition_style(image: Image, donor: Image, random: Random) -> Image:
    """Move `image` at least half of the way to the acquisition style of `donor`; both uint8 (rows, columns).

    One of three at random: the energy of frequency bands, the histogram, or low-frequency amplitudes.
    """
    transfer = (band_energies, histogram, low_frequencies)[random.integers(3)]
    share = random.uniform(0.5, 1.0)
    return np.clip(share * transfer(image, donor, random) + (1 - share) * image, 0, 255).astype(np.uint8)


def band_energies(image: Image, donor: Image, _random: Random) -> Grey:
    """Give each frequency band of `image` the spread that it has in `donor`: sharpness, noise and contrast."""
    bands, rest = _bands(image)
    donor_bands, donor_rest = _bands(donor)
    grey = (rest - rest.mean()) / (rest.std() + 4) * (donor_rest.std() + 4) + donor_rest.mean()
    for band, donor_band in zip(bands, donor_bands, strict=True):
        grey = grey + band * np.clip((donor_band.std() + 0.3) / (band.std() + 0.3), 0.33, 3)
    return np.asarray(grey, np.float32)


def _bands(image: Image) -> tuple[list[Grey], Grey]:
    bands, rest = [], image.astype(np.float32)
    for sigma in BAND_SIGMAS:
        smooth = cv2.GaussianBlur(rest, (0, 0), sigma)
        bands.append(np.asarray(rest - smooth, np.float32))
        rest = np.asarray(smooth, np.float32)
    return bands, rest


def histogram(image: Image, donor: Image, _random: Random) -> Grey:
    """Give `image` the histogram of `donor`: window, look-up table and collimation."""
    grey = np.sort(donor.ravel())[::16].astype(np.float32)
    shares = np.cumsum(np.bincount(image.ravel(), minlength=256)) / image.size
    table: Grey = grey[np.minimum((shares * len(grey)).astype(int), len(grey) - 1)]
    return table[image]


def low_frequencies(image: Image, donor: Image, random: Random) -> Grey:
    """Take the lowest Fourier amplitudes of `donor`, and the phases of `image` (Yang and Soatto 2020, FDA)."""
    own, other = (np.fft.fft2(picture.astype(np.float32)) for picture in (image, donor))
    rows, columns = image.shape
    highest = max(1, int(random.uniform(0.005, 0.05) * rows))
    row, column = (np.minimum(np.arange(size), size - np.arange(size)) <= highest for size in (rows, columns))
    amplitude = np.where(row[:, None] & column[None], np.abs(other), np.abs(own))
    return np.asarray(np.real(np.fft.ifft2(amplitude * np.exp(1j * np.angle(own)))), np.float32)


def reposition(image: Image, random: Random, side: int) -> Grey:
    """Resize to (side, side) and move: mirror, rotation to 12 degrees, scale .85 to 1.25, aspect, shift to 6 %.

    The aspect matters because images are stretched to a square: how much says which hospital they are from.
    """
    rows, columns = image.shape
    border = float(np.median(image[[0, -1]])) if random.random() < 0.5 else 0.0
    scale, aspect = np.exp(random.uniform(np.log(0.85), np.log(1.25))), np.exp(random.uniform(-0.1, 0.1))
    angle, mirror = np.deg2rad(random.uniform(-12, 12)), -1.0 if random.random() < 0.3 else 1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag([mirror * scale * aspect * side / columns, scale / aspect * side / rows])
    centre = np.array([columns / 2, rows / 2])
    shift = side / 2 + random.uniform(-0.06, 0.06, 2) * side - matrix @ centre
    smooth = cv2.GaussianBlur(image, (0, 0), max(0.5 * rows / side, 0.1))
    affine = np.hstack([matrix, shift[:, None]]).astype(np.float32)
    moved = cv2.warpAffine(
        smooth, affine, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=border
    )
    return moved.astype(np.float32)


def window(grey: Grey, random: Random) -> Grey:
    """Another window and gamma: exposure, detector curve and processing."""
    low, high = random.uniform(-25, 25), 255 + random.uniform(-25, 25)
    return np.asarray(255 * np.clip((grey - low) / (high - low), 0, 1) ** np.exp(random.uniform(-0.4, 0.4)), np.float32)


def blur(grey: Grey, random: Random) -> Grey:
    """Focal spot, motion, a coarser detector."""
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), random.uniform(0.4, 1.3)), np.float32)


def sharpen(grey: Grey, random: Random) -> Grey:
    """Edge enhancement as modalities do it: an unsharp mask."""
    smooth = cv2.GaussianBlur(grey, (0, 0), random.uniform(0.8, 2.5))
    return np.asarray(grey + (grey - smooth) * random.uniform(0.3, 1.5), np.float32)


def noise(grey: Grey, random: Random) -> Grey:
    """Quantum noise of a lower dose."""
    return grey + random.standard_normal(grey.shape, np.float32) * np.float32(random.uniform(1, 7))


def mark(grey: Grey, random: Random) -> Grey:
    """One to three grey boxes at the edges, where markers, labels and devices are."""
    marked, side = grey.copy(), min(grey.shape)
    for _ in range(random.integers(1, 4)):
        width, height = random.integers(4, side // 5, 2)
        left, top = random.integers(0, side - width), random.integers(0, side - height)
        inset, edge = random.integers(0, side // 8), random.integers(4)
        top = (inset, side - height - inset, top, top)[edge]
        left = (left, left, inset, side - width - inset)[edge]
        top, left = max(0, top), max(0, left)
        marked[top : top + height, left : left + width] = random.uniform(0, 255)
    return marked


def collimate(grey: Grey, random: Random) -> Grey:
    """Dark borders to 12 %: the collimator's blades."""
    rows, columns = grey.shape
    top, bottom, left, right = (int(share) for share in random.uniform(0, 0.12, 4) * (rows, rows, columns, columns))
    shut = np.full_like(grey, random.uniform(0, 40))
    shut[top : rows - bottom, left : columns - right] = grey[top : rows - bottom, left : columns - right]
    return shut


def compress(grey: Grey, random: Random) -> Grey:
    """Go through a JPEG of quality 25 to 90."""
    image = np.clip(grey, 0, 255).astype(np.uint8)
    _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(25, 90))])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.float32)


CHANGES: tuple[tuple[Change, float], ...] = (
    (window, 0.7),
    (blur, 0.2),
    (sharpen, 0.15),
    (noise, 0.3),
    (mark, 0.35),
    (collimate, 0.2),
    (compress, 0.25),
)
"""What is tried on each image in turn, and the chance of each."""
