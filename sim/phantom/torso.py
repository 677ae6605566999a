"""The torso: thickness maps (cm) of the soft-tissue body and of the lungs.

Every solid is an interval along the ray in closed form: the chest cavity, the diaphragm's domes (paraboloids), heart
and great vessels (ellipsoids, tubes), the mediastinum. The lung is the cavity less their union.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sim.phantom.grid import Grid, Map, smoothstep
from sim.phantom.spec import Spec

Interval = tuple[Map, Map]
APEX_Y_CM = -15.3
DOME_Y_CM = 8.2

# Inner half-width of the chest (cm) by level, with the lungs' own middle and inner limit at the apices.
_LEVELS = (-15.3, -15.0, -14.4, -13.4, -12.0, -10.0, -6.0, 0.0, 5.0, 10.0, 15.0, 22.0)
_OUTER = (5.2, 6.5, 7.6, 8.7, 9.8, 10.9, 12.2, 13.2, 13.8, 14.0, 13.7, 13.2)
_INNER = (4.6, 3.5, 2.9, 2.2, 1.4, 0.0, -3.0, -6.0, -8.0, -8.0, -8.0, -8.0)
_MIDDLE = (4.9, 5.0, 5.2, 5.4, 5.6, 5.7, 5.8, 6.0, 6.0, 6.0, 6.0, 6.0)
_DEPTH = (0.0, 1.8, 3.0, 4.2, 5.3, 6.4, 8.0, 9.0, 9.6, 9.8, 9.8, 9.6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Torso:
    """Maps (size, size) in cm along the ray."""

    body: Map
    lung: Map
    cavity: Map
    gas: Map


def level(y: ArrayLike, values: tuple[float, ...], spec: Spec) -> Map:
    """A tabled dimension at level `y`, linear between levels, stretched by the patient's height."""
    return np.interp(np.asarray(y) / spec.height_scale, _LEVELS, values).astype(np.float32)


def chest_half_width(y: ArrayLike, spec: Spec) -> Map:
    """Inner half-width of the rib cage in cm."""
    return np.asarray(level(y, _OUTER, spec) * spec.width_scale, np.float32)


def chest_half_depth(y: ArrayLike, spec: Spec) -> Map:
    """Inner half-depth (front to back) of the rib cage in cm."""
    return np.asarray(level(y, _DEPTH, spec) * spec.depth_scale, np.float32)


def build_torso(grid: Grid, spec: Spec) -> Torso:
    """Body and lungs of this patient."""
    cavity = _cavity(grid, spec)
    taken = [_diaphragm(grid, spec), *_heart(grid, spec), *_mediastinum(grid, spec)]
    lung = np.maximum(0, (cavity[1] - cavity[0]) - _covered(cavity, taken))
    return Torso(
        body=_body(grid, spec),
        lung=np.asarray(lung, np.float32),
        cavity=cavity[1] - cavity[0],
        gas=_stomach_gas(grid, spec),
    )


def _covered(within: Interval, intervals: list[Interval]) -> Map:
    """Length of the union of `intervals` inside `within`, ray by ray."""
    low = np.stack([np.clip(a, *within) for a, _ in intervals])
    high = np.stack([np.clip(b, *within) for _, b in intervals])
    order = np.argsort(low, axis=0)
    low, high = np.take_along_axis(low, order, 0), np.take_along_axis(high, order, 0)
    reached, total = within[0].copy(), np.zeros_like(within[0])
    for a, b in zip(low, high, strict=True):
        total += np.maximum(0, b - np.maximum(a, reached))
        reached = np.maximum(reached, b)
    return np.asarray(total, np.float32)


def _cavity(grid: Grid, spec: Spec) -> Interval:
    """Return the cavity of both lungs: an asymmetric superellipse at each level and side."""
    across = np.abs(grid.x) / spec.width_scale
    rows = grid.y[:, 0]
    outer, inner, middle = (level(rows, table, spec)[:, None] for table in (_OUTER, _INNER, _MIDDLE))
    share = np.where(across > middle, (across - middle) / (outer - middle), (middle - across) / (middle - inner))
    round_off = np.sqrt(np.maximum(0, 1 - np.abs(share) ** 2.3))
    half = level(rows, _DEPTH, spec)[:, None] * spec.depth_scale * round_off
    return np.asarray(-half, np.float32), np.asarray(half, np.float32)


def dome_y(grid: Grid, spec: Spec) -> Map:
    """Highest level of the diaphragm at each x: right and left dome, falling to the sides."""
    left_lower = spec.right_dome_higher_cm * smoothstep(grid.x, -3.0, 3.5)
    across = np.abs(grid.x) / spec.width_scale - 5.6
    fall = np.where(across > 0, 0.038 * across**2 + 0.0008 * across**4, 0.008 * across**2)
    return np.asarray(DOME_Y_CM * spec.height_scale + spec.inspiration_cm + left_lower + fall, np.float32)


def _diaphragm(grid: Grid, spec: Spec) -> Interval:
    """Below its dome the diaphragm takes the middle of the chest; lung stays behind it in the posterior recess."""
    below = np.maximum(0, grid.y - dome_y(grid, spec))
    half = np.sqrt(below / 0.07)
    return _interval(1.8, half, below > 0)


def _interval(middle: ArrayLike, half: ArrayLike, present: ArrayLike) -> Interval:
    half = np.where(present, half, 0.0)
    return np.asarray(middle - half, np.float32), np.asarray(middle + half, np.float32)


def _ellipsoid(
    grid: Grid, middle: tuple[float, float, float], radii: tuple[float, float, float], *, tilt_deg: float, spec: Spec
) -> Interval:
    """An ellipsoid whose long axis is tilted in the image's plane; turned with the patient."""
    turn, tilt = np.deg2rad(spec.rotation_deg), np.deg2rad(tilt_deg)
    x, y = grid.x - (middle[0] + middle[2] * np.sin(turn)), grid.y - middle[1]
    u, v = x * np.cos(tilt) + y * np.sin(tilt), -x * np.sin(tilt) + y * np.cos(tilt)
    left = 1 - (u / radii[0]) ** 2 - (v / radii[1]) ** 2
    return _interval(middle[2], radii[2] * np.sqrt(np.maximum(0, left)), left > 0)


def _heart(grid: Grid, spec: Spec) -> list[Interval]:
    """Ventricles, right atrium, pulmonary trunk, aortic arch and descending aorta."""
    k, a, down = spec.heart_scale * spec.width_scale, spec.aorta_scale, 0.45 * spec.inspiration_cm
    lv = _ellipsoid(grid, (2.2 * k, 5.2 + down, 1.8), (6.8 * k, 5.0 * k, 6.6 * k), tilt_deg=34, spec=spec)
    ra = _ellipsoid(grid, (0.4 * k, 3.6 + down, 1.5), (4.4 * k, 6.3 * k, 6.2 * k), tilt_deg=-6, spec=spec)
    base = _ellipsoid(grid, (1.2 * k, -0.6 + down, 1.0), (3.6 * k, 5.2 * k, 5.0 * k), tilt_deg=0, spec=spec)
    trunk = _ellipsoid(grid, (1.7 * k, -3.3 + 0.5 * down, 1.5), (1.9 * k, 2.8, 3.4), tilt_deg=20, spec=spec)
    knob = _ellipsoid(grid, (1.75, -6.9, -1.5), (1.6 * a, 1.75 * a, 3.0 * a), tilt_deg=0, spec=spec)
    return [lv, ra, base, trunk, knob, _descending_aorta(grid, spec)]


def _descending_aorta(grid: Grid, spec: Spec) -> Interval:
    middle = 2.15 * spec.aorta_scale - 0.055 * (grid.y + 6.0) - 6.0 * np.sin(np.deg2rad(spec.rotation_deg))
    radius = 1.2 * spec.aorta_scale * smoothstep(grid.y, 9.0, 1.0)
    left = radius**2 - (grid.x - middle) ** 2
    return _interval(-6.0, np.sqrt(np.maximum(0, left)), (left > 0) & (grid.y > -7.0) & (grid.y < 8.0))


def _mediastinum(grid: Grid, spec: Spec) -> list[Interval]:
    """Great vessels and fat between the lungs, and the spine with its muscles behind them."""
    rows = grid.y[:, 0]
    right = np.interp(rows, (-22, -15, -12, -9, -4, 0, 10), (-4.6, -3.3, -2.8, -2.8, -2.8, -2.4, -2.0))[:, None]
    left = np.interp(rows, (-22, -15, -12, -9, -5, 0, 10), (4.6, 3.5, 3.0, 2.7, 2.1, 1.9, 2.0))[:, None]
    middle, half = (right + left) / 2 * spec.width_scale, (left - right) / 2 * spec.width_scale
    share = 1 - np.abs((grid.x - middle) / half) ** 1.5
    deep = np.interp(rows, (-22, -4, 3, 12), (6.5, 6.5, 1.5, 0.0))[:, None]
    core = _interval(0.5, deep * np.sqrt(np.maximum(0, share)), share > 0)
    depth = chest_half_depth(rows, spec)[:, None]
    spine = _interval(-depth, 7.5 * np.exp(-((grid.x / 2.5) ** 2)), np.abs(grid.x) < 8)
    return [core, spine]


def capsule(grid: Grid, start: tuple[float, float], end: tuple[float, float], radii: tuple[float, float]) -> Map:
    """Chord (cm) of a limb with round section whose radius runs from one end's to the other's."""
    along = np.subtract(end, start)
    t = np.clip(((grid.x - start[0]) * along[0] + (grid.y - start[1]) * along[1]) / float(along @ along), 0, 1)
    distance2 = (grid.x - start[0] - t * along[0]) ** 2 + (grid.y - start[1] - t * along[1]) ** 2
    radius = radii[0] + t * (radii[1] - radii[0])
    return np.asarray(2 * np.sqrt(np.maximum(0, radius**2 - distance2)), np.float32)


def _body(grid: Grid, spec: Spec) -> Map:
    """Trunk, neck, shoulders, upper arms, breasts: joined smoothly (a power mean stays near the largest)."""
    w, fat = spec.width_scale, spec.fat_cm
    neck = capsule(grid, (0, -10), (0, -30), (5.6 + 0.3 * fat, 5.4 + 0.3 * fat))
    parts = [_trunk(grid, spec), neck]
    for side in (-1, 1):
        shoulder = (side * 17.2 * w, -11.4)
        parts.append(capsule(grid, (side * 3.0, -13.0), shoulder, (6.4 + 0.2 * fat, 5.8 + 0.35 * fat)))
        parts.append(capsule(grid, (side * 2.5, -18.5), (side * 15.0 * w, -13.5), (4.2 + 0.3 * fat, 3.4 + 0.3 * fat)))
        parts.append(capsule(grid, shoulder, (side * 25.5 * w, 5.0), (5.6 + 0.35 * fat, 5.0 + 0.35 * fat)))
    total = np.sum([part**5 for part in parts], axis=0) ** 0.2
    return np.asarray(total + _chest_wall(grid, spec), np.float32)


def _trunk(grid: Grid, spec: Spec) -> Map:
    rows = grid.y[:, 0] / spec.height_scale
    wall = 2.3 + 0.9 * spec.fat_cm
    half_width = (
        np.interp(rows, (-16, -12, -8, -3, 3, 10, 22), (5.0, 10.0, 13.6, 14.4, 14.2, 14.0, 13.6)) * spec.width_scale
        + wall
    )
    half_depth = (
        np.interp(rows, (-16, -12, -8, -3, 3, 10, 22), (5.5, 7.0, 8.8, 9.8, 10.4, 10.6, 10.4)) * spec.depth_scale
        + 0.55 * wall
    )
    share = 1 - np.abs(grid.x / half_width[:, None]) ** 2.6
    fade = smoothstep(rows.astype(np.float32), -19.0, -13.5)
    return np.asarray(2 * (half_depth * fade)[:, None] * np.sqrt(np.maximum(0, share)), np.float32)


def _chest_wall(grid: Grid, spec: Spec) -> Map:
    """Pectoral muscles, and breasts whose lower edge stands out and whose upper edge fades."""
    total = np.zeros_like(grid.x)
    for side in (-1, 1):
        x = side * grid.x / spec.width_scale
        edge = smoothstep(grid.y - (2.2 - 0.62 * (x - 7)), 0.9, -0.9)
        pectoral = edge * smoothstep(x, 1.5, 5.0) * smoothstep(x, 17.0, 13.0) * smoothstep(grid.y, -13.0, -9.0)
        total += (1.0 if spec.breast_cm == 0 else 0.5) * pectoral
        if spec.breast_cm:
            total += _breast(x, grid.y, spec)
    return np.asarray(total, np.float32)


def _breast(x: Map, y: Map, spec: Spec) -> Map:
    size = 4.4 + 0.5 * spec.breast_cm
    middle_y = 1.6 + 0.35 * spec.breast_cm
    down = (y - middle_y) / np.where(y > middle_y, 0.85 * size, 2.2 * size)
    share = 1 - ((x - 8.6) / (1.05 * size)) ** 2 - down**2
    return np.asarray(spec.breast_cm * np.maximum(0, share) ** 0.5, np.float32)


def _stomach_gas(grid: Grid, spec: Spec) -> Map:
    """The gas bubble under the left dome: round above, flat below where the fluid stands."""
    if spec.gas_cm < 0.4:
        return np.zeros_like(grid.x)
    top = DOME_Y_CM * spec.height_scale + spec.inspiration_cm + spec.right_dome_higher_cm + 0.9
    x, y = (grid.x - 6.4) / (1.6 + 0.9 * spec.gas_cm), (grid.y - top - spec.gas_cm) / spec.gas_cm
    bubble = np.sqrt(np.maximum(0, 1 - np.abs(x) ** 2.4 - np.abs(y) ** 2))
    floor = smoothstep(grid.y - (top + 1.3 * spec.gas_cm), 0.12, -0.12)
    return np.asarray(1.6 * spec.gas_cm * bubble * floor, np.float32)


def hila(grid: Grid, spec: Spec) -> Map:
    """Soft tissue about the roots of the lungs, cm, without an edge of its own; the left one stands higher."""
    k = spec.heart_scale * spec.width_scale
    roots = ((-3.9 * k, -1.9, 1.3, 2.3), (4.1 * k, -3.1, 1.3, 1.8))
    parts = [np.exp(-(((grid.x - x) / rx) ** 2) - ((grid.y - y) / ry) ** 2) for x, y, rx, ry in roots]
    return np.asarray(1.3 * (parts[0] + parts[1]), np.float32)
