"""Grid: a size comes in; coordinates in centimetres and the projection of 3-D points onto them go out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.floating[Any]]
"""float32 wherever it is large."""
FIELD_CM = 43.008
"""The detector: 3072 pixels of 0.14 mm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A square detector plane of `size` pixels a side; x and y are (size, size) in cm from its middle."""

    size: int
    x: Map
    y: Map
    shift_cm: tuple[float, float]

    @property
    def pixel_cm(self) -> float:
        """Side of one pixel."""
        return FIELD_CM / self.size


def make_grid(size: int, shift_cm: tuple[float, float] = (0.0, 0.0)) -> Grid:
    """The detector sampled at `size` x `size` pixel middles, the patient moved by `shift_cm` (right, down)."""
    axis = ((np.arange(size, dtype=np.float32) + 0.5) / size - 0.5) * np.float32(FIELD_CM)
    x, y = np.meshgrid(axis - np.float32(shift_cm[0]), axis - np.float32(shift_cm[1]))
    return Grid(size=size, x=x, y=y, shift_cm=shift_cm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Points of a body in 3-D with the volume (cm3) that each stands for."""

    x: Map
    y: Map
    z: Map
    volume: Map


def join(parts: list[Samples]) -> Samples:
    """All points as one."""
    return Samples(
        **{name: np.concatenate([getattr(p, name).ravel() for p in parts]) for name in ("x", "y", "z", "volume")}
    )


def project(grid: Grid, points: Samples, *, rotation_deg: float = 0.0) -> Map:
    """Thickness in cm along parallel rays: each point's volume is shared by its four nearest pixels (bilinear)."""
    turn = np.deg2rad(rotation_deg)
    columns = (
        (points.x * np.cos(turn) + points.z * np.sin(turn) + grid.shift_cm[0]) / grid.pixel_cm + grid.size / 2 - 0.5
    )
    rows = (points.y + grid.shift_cm[1]) / grid.pixel_cm + grid.size / 2 - 0.5
    inside = (columns > 0) & (columns < grid.size - 1) & (rows > 0) & (rows < grid.size - 1)
    columns, rows, mass = columns[inside], rows[inside], points.volume[inside] / grid.pixel_cm**2
    left, top = columns.astype(np.int32), rows.astype(np.int32)
    right_share, low_share = columns - left, rows - top
    start = top * grid.size + left
    index = np.concatenate([start, start + 1, start + grid.size, start + grid.size + 1])
    upper, lower = mass * (1 - low_share), mass * low_share
    weights = np.concatenate(
        [upper * (1 - right_share), upper * right_share, lower * (1 - right_share), lower * right_share]
    )
    flat = np.bincount(index, weights=weights, minlength=grid.size**2)
    return flat.reshape(grid.size, grid.size).astype(np.float32)


def blur(values: Map, sigma_px: float) -> Map:
    """Gaussian blur; a wide one works on a small copy, which is as good and much quicker."""
    if sigma_px <= 6:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma_px), np.float32)
    step = int(sigma_px // 3)
    height, width = values.shape
    small = cv2.resize(values, (max(2, width // step), max(2, height // step)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma_px / step, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def resize(values: Map, size: int) -> Map:
    """Smooth enlargement (cubic) to `size` x `size`."""
    return np.asarray(cv2.resize(values, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)


def fractal(size: int, rng: np.random.Generator, *, coarse: int, octaves: int, roughness: float = 0.55) -> Map:
    """Fractal noise of mean 0 and standard deviation 1: `coarse` cells across, then finer and weaker ones."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        cells = coarse * 2**octave
        noise = rng.standard_normal((cells + 3, cells + 3)).astype(np.float32)
        total += roughness**octave * cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray((total - total.mean()) / total.std(), np.float32)


def smoothstep(values: Map, low: float, high: float) -> Map:
    """0 below `low`, 1 above `high`, a smooth rise between; `low` above `high` turns it round."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
