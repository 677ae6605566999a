"""Image corruptions: twelve faults of an exposure at three strengths, for robustness tests.

Twelve faults at three strengths, in the manner of Hendrycks and Dietterich (2019) and in the terms of radiography. Each
is drawn from the seed and the image's own content, so that order and company of images change nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Grey = NDArray[np.float32]
Fault = Callable[[Image, int, np.random.Generator], Grey]
STRENGTHS = (1, 2, 3)
DENSITY = np.log(50.0)
"""Natural logarithm of the ratio of photons between the darkest and the brightest part of an image."""
MARGIN = 6
"""Pixels between the image's side and what is written on it."""


def corrupt(images: Image, name: str, strength: int, *, seed: int = 0) -> Image:
    """Images uint8 (n, rows, columns) with fault `name` of CORRUPTIONS at strength 1, 2 or 3; the same shape."""
    fault = CORRUPTIONS[name]
    return np.stack([_grey(fault(image, strength - 1, _random(image, name, seed))) for image in images])


def corrupted_copies(images: Image, copies: int) -> tuple[Image, NDArray[np.int64]]:
    """Return `copies` corrupted copies of each of `images` uint8 (n, rows, columns), and the index of each one's image.

    For choices that must hold on other exposures: what is chosen on images of the training's own making is too
    confident elsewhere. Which corruptions an image gets is drawn once, so that every network is measured on the same.
    The strongest are left out: those are faults for which a technologist repeats the exposure.
    """
    random = np.random.default_rng(0)
    names = sorted(CORRUPTIONS)
    rows = np.repeat(np.arange(len(images)), copies)
    faults = [(names[random.integers(len(names))], STRENGTHS[random.integers(len(STRENGTHS) - 1)]) for _ in rows]
    corrupted = [corrupt(images[index][None], *fault)[0] for index, fault in zip(rows, faults, strict=True)]
    return np.array(corrupted, np.uint8).reshape(-1, *images.shape[1:]), rows


def _random(image: Image, name: str, seed: int) -> np.random.Generator:
    """The strength is not in it: a stronger fault of an image is the same fault, stronger."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), zlib.crc32(image.tobytes())])


def _grey(image: Grey) -> Image:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _sign(random: np.random.Generator) -> int:
    return 1 if random.random() < 0.5 else -1


def exposure(image: Image, level: int, random: np.random.Generator) -> Grey:
    """Window centre too low or too high by 15, 30, 45 grey values."""
    return image.astype(np.float32) + _sign(random) * (15, 30, 45)[level]


def gamma(image: Image, level: int, random: np.random.Generator) -> Grey:
    """Another look-up table: exponent 1.25, 1.6, 2.0 or its inverse."""
    exponent = np.float32((1.25, 1.6, 2.0)[level] ** _sign(random))
    return np.asarray(255 * (image.astype(np.float32) / 255) ** exponent, np.float32)


def contrast(image: Image, level: int, _random: np.random.Generator) -> Grey:
    """Window too wide: contrast 0.8, 0.6, 0.4 about the image's mean."""
    mean = np.float32(image.mean())
    return mean + (0.8, 0.6, 0.4)[level] * (image.astype(np.float32) - mean)


def quantum_noise(image: Image, level: int, random: np.random.Generator) -> Grey:
    """Too little dose: 8000, 2500, 800 photons a pixel at the darkest, fewer where the image is brighter.

    Grey is the logarithm of photons, so its noise is 255 / DENSITY / sqrt(photons).
    """
    photons = (8000, 2500, 800)[level] * np.exp(-image.astype(np.float32) / 255 * DENSITY)
    noise = random.standard_normal(image.shape).astype(np.float32)
    return image + noise * np.float32(255 / DENSITY) / np.sqrt(photons).astype(np.float32)


def blur(image: Image, level: int, _random: np.random.Generator) -> Grey:
    """Detector or focal spot: Gaussian of sigma 0.8, 1.5, 2.5 pixels."""
    return cv2.GaussianBlur(image.astype(np.float32), (0, 0), (0.8, 1.5, 2.5)[level]).astype(np.float32)


def sharpening(image: Image, level: int, _random: np.random.Generator) -> Grey:
    """Edge enhancement of the modality: unsharp mask of sigma 2 pixels by 1, 2, 4."""
    grey = image.astype(np.float32)
    return grey + (1, 2, 4)[level] * (grey - cv2.GaussianBlur(grey, (0, 0), 2.0))


def collimation(image: Image, level: int, random: np.random.Generator) -> Grey:
    """Shutters left in the image: two sides black over 5, 10, 15 % of it."""
    out = image.astype(np.float32)
    for side in random.permutation(4)[:2]:
        turned = np.rot90(out, side)
        turned[: int((0.05, 0.10, 0.15)[level] * len(turned))] = 0
    return out


def rotation(image: Image, level: int, random: np.random.Generator) -> Grey:
    """Patient or plate turned by 5, 10, 20 degrees."""
    return _warped(image, _sign(random) * (5, 10, 20)[level], 1.0)


def scale(image: Image, level: int, random: np.random.Generator) -> Grey:
    """Another distance or crop: 1.1, 1.2, 1.35 times larger or smaller."""
    return _warped(image, 0, (1.1, 1.2, 1.35)[level] ** _sign(random))


def motion(image: Image, level: int, random: np.random.Generator) -> Grey:
    """Breath during the exposure: every point drawn out over 3, 6, 10 pixels, mostly up and down."""
    length = (3, 6, 10)[level]
    kernel = np.zeros((2 * length + 1, 2 * length + 1), np.float32)
    slant = random.uniform(-0.3, 0.3)
    for step in np.linspace(-length / 2, length / 2, 4 * length + 1):
        kernel[round(length + step), round(length + slant * step)] += 1
    return cv2.filter2D(image.astype(np.float32), -1, kernel / kernel.sum()).astype(np.float32)


def marker(image: Image, level: int, random: np.random.Generator) -> Grey:
    """Side letter and line of text, burnt in white, 14, 22, 32 pixels high, in an upper corner."""
    out, height, font = image.copy(), (14, 22, 32)[level], cv2.FONT_HERSHEY_SIMPLEX
    side = "R" if random.random() < 0.5 else "L"
    lines = (
        (side, height / 21, 1 + height // 10, 8 + height),
        ("AP ERECT", height / 50, 1, 14 + height + height // 2),
    )
    for text, size, thickness, bottom in lines:
        (width, _), _ = cv2.getTextSize(text, font, size, thickness)
        left = MARGIN if side == "R" else image.shape[1] - MARGIN - width
        cv2.putText(out, text, (left, bottom), font, size, 255, thickness)
    return out.astype(np.float32)


def jpeg(image: Image, level: int, _random: np.random.Generator) -> Grey:
    """JPEG compression of quality 40, 20, 8."""
    _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, (40, 20, 8)[level]])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.float32)


def _warped(image: Image, degrees: float, factor: float) -> Grey:
    rows, columns = image.shape
    matrix = cv2.getRotationMatrix2D(((columns - 1) / 2, (rows - 1) / 2), degrees, factor)
    return cv2.warpAffine(image, matrix, (columns, rows), flags=cv2.INTER_LINEAR).astype(np.float32)


CORRUPTIONS: Mapping[str, Fault] = {
    "exposure": exposure,
    "gamma": gamma,
    "contrast": contrast,
    "quantum noise": quantum_noise,
    "blur": blur,
    "sharpening": sharpening,
    "collimation": collimation,
    "rotation": rotation,
    "scale": scale,
    "motion": motion,
    "marker": marker,
    "jpeg": jpeg,
}
