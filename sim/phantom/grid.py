"""The detector plane in centimetres, the projection of 3-D points onto it, and operations on its maps."""

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
_PIECE = 65_536


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
    total = np.zeros(grid.size**2)
    turn = np.deg2rad(rotation_deg)
    middle = grid.size / 2 - 0.5
    # In pieces that fit the processor's cache.
    for k in range(0, len(points.x), _PIECE):
        x, y, z, volume = (axis[k : k + _PIECE] for axis in (points.x, points.y, points.z, points.volume))
        columns = (x * np.cos(turn) + z * np.sin(turn) + grid.shift_cm[0]) / grid.pixel_cm + middle
        rows = (y + grid.shift_cm[1]) / grid.pixel_cm + middle
        _share_out(total, grid.size, columns, rows, volume)
    return np.asarray(total.reshape(grid.size, grid.size) / grid.pixel_cm**2, np.float32)


def _share_out(total: Map, size: int, columns: Map, rows: Map, volume: Map) -> None:
    """Add each volume to the four pixels around its place, in `total` (size * size)."""
    inside = (columns > 0) & (columns < size - 1) & (rows > 0) & (rows < size - 1)
    columns, rows, volume = columns[inside], rows[inside], volume[inside].astype(np.float64)
    if not len(volume):
        return
    left, top = columns.astype(np.int64), rows.astype(np.int64)
    lower = volume * (rows - top)
    upper = volume - lower
    share = columns - left
    index = top * size + left
    first = int(index.min())
    index -= first
    for offset, mass in (
        (0, upper * (1 - share)),
        (1, upper * share),
        (size, lower * (1 - share)),
        (size + 1, lower * share),
    ):
        counted = np.bincount(index, weights=mass)
        total[first + offset : first + offset + len(counted)] += counted


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
    """Fractal noise of mean 0 and standard deviation 1: `coarse` nodes across, then finer and weaker ones."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        nodes = coarse * 2**octave
        noise = rng.standard_normal((nodes + 3, nodes + 3)).astype(np.float32)
        total += roughness**octave * cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray((total - total.mean()) / total.std(), np.float32)


def smoothstep(values: Map, low: float, high: float) -> Map:
    """0 below `low`, 1 above `high`, a smooth rise between; `low` above `high` turns it round."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
