"""Other views, drawn simply: a lateral chest and a hand, which the gate must reject."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from sim.phantom.detector import Anatomy
from sim.phantom.grid import FIELD_CM, Map, Samples, blur, join, make_grid, project, smoothstep
from sim.phantom.skeleton import rib_and_spine_samples
from sim.phantom.spec import Spec
from sim.phantom.torso import DOME_Y_CM, capsule, chest_half_depth, chest_half_width
from sim.phantom.tubes import round_bone
from sim.phantom.vessels import lung_vessels


def lateral_anatomy(spec: Spec, size: int) -> Anatomy:
    """The same chest from its left side: bones and vessels turned, smooth solids as ellipses; front on the left."""
    grid = make_grid(size, (spec.shift_x_cm, spec.shift_y_cm))
    z, rows = -grid.x, grid.y[:, 0]
    depth, width = chest_half_depth(rows, spec)[:, None], chest_half_width(rows, spec)[:, None]
    wall = 1.6 + 0.5 * spec.fat_cm
    body = 2 * (width + wall) * _round(z / (depth + wall)) * smoothstep(grid.y, -17.5, -12.5)
    body = np.maximum(body, capsule(grid, (3.0, -11), (0.5, -30), (5.8, 5.6)))
    arms = [capsule(grid, (4.0, -13.5), (-13.0, -21.5), (6.2, 4.5)), 0.5 * capsule(grid, (6.5, -13), (9, -3), (4, 3))]
    cavity = 2 * np.maximum(0, width * _round(z / np.maximum(depth, 0.1)) - 2.2) * (depth > 1.0)
    dome = DOME_Y_CM * spec.height_scale + spec.inspiration_cm + 0.07 * (z - 1.8) ** 2
    heart = 11.5 * np.sqrt(np.maximum(0, 1 - ((z - 3.2) / 5.4) ** 2 - ((grid.y - 4.6) / 5.4) ** 2))
    lung = np.maximum(0, cavity - heart) * smoothstep(grid.y - dome, 0.15, -0.15)
    bones = project(grid, _seen_from_left(rib_and_spine_samples(spec)))
    vessels = project(grid, _seen_from_left(lung_vessels(spec)))
    return _anatomy(
        body=np.maximum(body, np.maximum(*arms)),
        lung=lung,
        vessels=vessels * np.minimum(1, lung / 3),
        bone=bones,
        spec=spec,
    )


def hand_anatomy(spec: Spec, size: int) -> Anatomy:
    """A hand, palm down: five rays of bones in their soft tissue, carpals, forearm."""
    grid = make_grid(size)
    body, bones = np.zeros_like(grid.x), list[Samples]()
    for number, (tilt_deg, length) in enumerate(((-42, 11.5), (-14, 17.0), (-2, 18.2), (9, 17.0), (22, 14.0))):
        turn = np.deg2rad(tilt_deg)
        along = np.array([np.sin(turn), -np.cos(turn)])
        start = np.array([-2.6 + 1.3 * number, 6.5 if number else 7.5])
        joints = [start + along * length * share for share in (0.0, 0.42, 0.68, 0.85, 1.0)]
        for a, b in pairwise(joints):
            bones.append(_small_bone(a, b, 0.42 if number else 0.5))
        body = np.maximum(body, capsule(grid, _xy(joints[0]), _xy(joints[-1] + 0.4 * along), (1.35, 0.8)))
    for side in (-1.5, 1.5):
        bones.append(
            round_bone([(side, 24, 0), (side, 16, 0), (side * 0.95, 9.4, 0)], [0.7, 0.75, 1.15], cortex_cm=0.22)
        )
    half = np.array([0.1, 0.5])
    for k in range(8):
        middle = np.array([-2.3 + 1.5 * (k % 4), 7.0 + 1.4 * (k // 4)])
        bones.append(_small_bone(middle - half, middle + half, 0.62))
    palm, arm = capsule(grid, (-0.6, 6), (0.8, 0.5), (3.9, 3.6)), capsule(grid, (0, 24), (0, 8), (3.4, 2.8))
    body = np.maximum(body, np.maximum(0.42 * palm, 0.75 * arm))
    return _anatomy(
        body=body, lung=np.zeros_like(body), vessels=np.zeros_like(body), bone=project(grid, join(bones)), spec=spec
    )


def _small_bone(a: Map, b: Map, radius: float) -> Samples:
    gap = 0.07 * (b - a)
    points = [(*_xy(a + gap), 0.0), (*_xy((a + b) / 2), 0.0), (*_xy(b - gap), 0.0)]
    return round_bone(points, [radius * 1.25, radius * 0.8, radius * 1.15], cortex_cm=0.12)


def _xy(point: Map) -> tuple[float, float]:
    return float(point[0]), float(point[1])


def _round(share: Map) -> Map:
    return np.asarray(np.sqrt(np.maximum(0, 1 - np.abs(share) ** 2.3)), np.float32)


def _seen_from_left(points: Samples) -> Samples:
    return Samples(x=-points.z, y=points.y, z=points.x, volume=points.volume)


def _anatomy(*, body: Map, lung: Map, vessels: Map, bone: Map, spec: Spec) -> Anatomy:
    """Return the path lengths of a simple view: no gas, no disease, no marker."""
    nothing = np.zeros_like(body, np.float32)
    fat = np.minimum(2 * spec.fat_cm, 0.4 * body)
    sharp = blur(bone, 0.055 * len(bone) / FIELD_CM)
    maps = {"body": body, "fat": fat, "lung": lung, "vessels": vessels, "bone": sharp}
    return Anatomy(**{k: np.asarray(v, np.float32) for k, v in maps.items()}, filled=nothing, air=nothing, lead=nothing)
