"""Consolidation: the share of the lung along each ray that holds fluid, and the bronchi that are still open in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.phantom.grid import Grid, Map, fractal, project, smoothstep
from sim.phantom.spec import Finding, Lobe, Spec
from sim.phantom.vessels import draw_inside, grow, inside_lung, tree_samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Consolidation:
    """`filled`: share of the lung along the ray that holds fluid instead of air; `bronchi`: open airways in it, cm."""

    filled: Map
    bronchi: Map


# Middle (x, y), radii (x, y) in cm, share of the lung's depth, level and side of a fissure that bounds it.
_LOBES: dict[Lobe, tuple[tuple[float, float], tuple[float, float], float, tuple[float, float] | None]] = {
    Lobe.RIGHT_UPPER: ((-7.0, -6.5), (6.5, 8.5), 0.66, (-0.9, -1.0)),
    Lobe.RIGHT_MIDDLE: ((-5.0, 4.0), (6.0, 5.2), 0.5, (-0.7, 1.0)),
    Lobe.RIGHT_LOWER: ((-8.0, 5.2), (6.6, 6.4), 0.62, None),
    Lobe.LEFT_UPPER: ((7.0, -2.0), (5.6, 7.0), 0.58, None),
    Lobe.LEFT_LOWER: ((7.2, 5.8), (6.6, 6.0), 0.66, None),
}


def consolidate(grid: Grid, spec: Spec) -> Consolidation:
    """Return no consolidation, that of one lobe, or patches in both lungs, as the finding says."""
    rng = np.random.default_rng([spec.seed, 3])
    if spec.finding is Finding.NORMAL:
        nothing = np.zeros_like(grid.x)
        return Consolidation(filled=nothing, bronchi=nothing)
    return _lobar(grid, spec, rng) if spec.finding is Finding.LOBAR else _patchy(grid, spec, rng)


def _lobar(grid: Grid, spec: Spec, rng: np.random.Generator) -> Consolidation:
    (x0, y0), (rx, ry), share, fissure = _LOBES[spec.lobe]
    size = 0.78 + 0.3 * spec.severity
    x0, y0 = x0 * spec.width_scale + rng.normal(0, 0.4), y0 * spec.height_scale + rng.normal(0, 0.5)
    away = np.hypot((grid.x - x0) / (rx * size), (grid.y - y0) / (ry * size))
    edge = 1 - away + 0.13 * fractal(grid.size, rng, coarse=6, octaves=5, roughness=0.5)
    filled = smoothstep(edge, -0.15, 0.75) * (1 + 0.06 * fractal(grid.size, rng, coarse=20, octaves=4, roughness=0.7))
    if fissure is not None:
        slope_level = fissure[0] + 0.05 * np.abs(grid.x) + 0.5 * (grid.x / 14) ** 2
        filled = filled * smoothstep(fissure[1] * (grid.y - slope_level), -0.3, 0.3)
    filled = np.clip(filled * share * (0.75 + 0.3 * spec.severity), 0, 0.85)
    side = -1 if x0 < 0 else 1
    return Consolidation(
        filled=np.asarray(filled * (side * grid.x > 0), np.float32),
        bronchi=_open_bronchi(grid, spec, (x0, y0), side, rng),
    )


def _open_bronchi(grid: Grid, spec: Spec, middle: tuple[float, float], side: int, rng: np.random.Generator) -> Map:
    """Air bronchograms: a small tree of airways from the hilum into the filled lung."""
    points = draw_inside(inside_lung(spec, side, 1.5), side, 400, rng)
    near = np.hypot(points[:, 0] - middle[0], points[:, 1] - middle[1]) < 5.5
    trunk = np.array(
        [(side * 2.6, -2.9, -1.5), (side * 3.8, -1.6, -2), (0.6 * middle[0] + side * 1.2, 0.6 * middle[1] - 1, -2)],
        np.float32,
    )
    tree = grow(trunk, points[near][:36], tip_cm=0.055, rng=rng)
    return project(grid, tree_samples(tree), rotation_deg=spec.rotation_deg)


def _patchy(grid: Grid, spec: Spec, rng: np.random.Generator) -> Consolidation:
    """Ill-defined patches about the bronchi, more of them below, in both lungs."""
    total = np.zeros_like(grid.x)
    for _ in range(int(9 + 9 * spec.severity)):
        side = rng.choice([-1, 1])
        x, y = side * rng.uniform(4.0, 11.5), rng.triangular(-10, 6, 10)
        radius = rng.uniform(1.4, 4.2)
        lean = rng.uniform(-0.6, 0.6)
        away2 = ((grid.x - x + lean * (grid.y - y)) ** 2 + 1.5 * (grid.y - y) ** 2) / radius**2
        total = np.maximum(total, np.exp(-away2) * rng.uniform(0.6, 1.0))
    rough = fractal(grid.size, rng, coarse=14, octaves=5, roughness=0.6)
    filled = smoothstep(total * (1 + 0.34 * rough), 0.05, 1.25) * (0.34 + 0.2 * spec.severity)
    haze = 0.035 * spec.severity * smoothstep(grid.y, -9, 5) * (1 + 0.5 * rough)
    bronchi = sum(_open_bronchi(grid, spec, (side * 7.5, 3.5), side, rng) for side in (-1, 1))
    return Consolidation(
        filled=np.asarray(np.clip(filled + haze, 0, 0.8), np.float32), bronchi=np.asarray(bronchi, np.float32)
    )
