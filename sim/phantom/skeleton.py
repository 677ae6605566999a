"""The skeleton: thickness of compact bone along each ray, in cm.

Ribs, clavicles, scapulae, humeri and spine are bodies in 3-D, projected point by point, so that edges, crossings and
the bright tangential stretches at the chest's sides come out of the geometry.
"""

from __future__ import annotations

import numpy as np

from sim.phantom.grid import Grid, Map, Samples, blur, join, project
from sim.phantom.spec import Spec
from sim.phantom.torso import chest_half_depth, chest_half_width
from sim.phantom.tubes import Point, Tube, ball, bone, disc, plate, round_bone, unit

# Per rib: fall from head to front end (cm), how far round it reaches (of a half circle), height of its section (cm).
_RIB_FALL = (3.6, 6.4, 8.2, 9.2, 10.0, 11.0, 11.8, 12.2, 12.2, 11.6, 9.0, 5.5)
_RIB_REACH = (0.84, 0.82, 0.80, 0.785, 0.77, 0.76, 0.73, 0.68, 0.63, 0.57, 0.44, 0.30)
_RIB_HEIGHT = (1.25, 1.15, 1.2, 1.25, 1.3, 1.35, 1.35, 1.35, 1.3, 1.25, 1.1, 0.9)
_UPPER_RIB_HALF_WIDTH = {1: 7.0, 2: 9.8, 3: 11.5}
_VERTEBRA_CM = 2.28


def build_skeleton(grid: Grid, spec: Spec) -> Map:
    """Compact-bone-equivalent thickness of the whole skeleton in view."""
    rng = np.random.default_rng([spec.seed, 1])
    parts = [rib_and_spine_samples(spec), *_clavicles(spec, rng), *_shoulders(spec, rng)]
    return blur(project(grid, join(parts), rotation_deg=spec.rotation_deg), 0.055 / grid.pixel_cm)


def rib_and_spine_samples(spec: Spec) -> Samples:
    """The chest's own bones, to be projected from any side."""
    return join([*_ribs(spec, np.random.default_rng([spec.seed, 6])), *_spine(spec)])


def rib_head_y(number: int, spec: Spec) -> float:
    """Level of a rib's head, which is its vertebra's upper edge."""
    return (-15.6 + _VERTEBRA_CM * (number - 1)) * spec.height_scale


def _ribs(spec: Spec, rng: np.random.Generator) -> list[Samples]:
    wobble = rng.normal(0, 0.16, (12, 2))
    return [_rib(n, side, spec, wobble[n - 1, (side + 1) // 2]) for n in range(1, 13) for side in (-1, 1)]


def _rib(number: int, side: int, spec: Spec, wobble: float) -> Samples:
    """A rib: half an ellipse round the chest in a plane that falls to the front."""
    fall, reach, height = (table[number - 1] for table in (_RIB_FALL, _RIB_REACH, _RIB_HEIGHT))
    fall *= spec.height_scale * (1 + 0.02 * spec.inspiration_cm)
    angle = np.linspace(0.045, reach, 560) * np.pi
    y = rib_head_y(number, spec) + wobble + fall * (0.33 * (1 - np.cos(angle)) + 0.34 * (angle / np.pi))
    lateral_y = rib_head_y(number, spec) + 0.45 * fall
    half_width = _rib_half_width(number, lateral_y, spec)
    half_depth = float(chest_half_depth(lateral_y, spec)) + 0.5
    path = np.stack([side * half_width * np.sin(angle) ** 0.92, y, -half_depth * np.cos(angle)], axis=1)
    outward = unit(np.stack([side * np.sin(angle) / half_width, 0 * angle, -np.cos(angle) / half_depth], axis=1))
    upward = unit(np.cross(unit(np.gradient(path, axis=0)), outward))
    front = np.clip((angle / np.pi - 0.5) / 0.3, 0, 1)
    half_u = 0.5 * height * (1 + 0.12 * front) * np.minimum(1, 0.75 + 3 * (angle - angle[0]))
    tube = Tube(path=path, axis_u=upward, axis_v=outward, half_u=half_u, half_v=np.full(len(angle), 0.34))
    # Towards its cartilage a rib is thinner and shows less.
    return bone(tube, cortex_cm=0.10 * (1 - 0.5 * front), spongy=0.11)


def _rib_half_width(number: int, lateral_y: float, spec: Spec) -> float:
    if number in _UPPER_RIB_HALF_WIDTH:
        return _UPPER_RIB_HALF_WIDTH[number] * spec.width_scale
    return float(chest_half_width(lateral_y, spec)) + 0.42


def _clavicles(spec: Spec, rng: np.random.Generator) -> list[Samples]:
    w, lift = spec.width_scale, float(rng.normal(0, 0.5))
    inner = [(1.9, -11.3, 7.0), (4.3, -11.9, 7.6), (7.6, -13.2 + 0.3 * lift, 7.2)]
    outer = [(11.2, -14.4 + 0.6 * lift, 4.5), (14.2, -14.7 + lift, 1.5), (16.6, -14.4 + lift, 0.0)]
    radii = [0.95, 0.64, 0.5, 0.48, 0.58, 0.62]
    return [round_bone([(side * x * w, y, z) for x, y, z in inner + outer], radii, cortex_cm=0.15) for side in (-1, 1)]


def _shoulders(spec: Spec, rng: np.random.Generator) -> list[Samples]:
    shift = float(rng.normal(0, 0.35))
    return [part for side in (-1, 1) for part in _shoulder(side * spec.width_scale, shift)]


def _shoulder(across: float, shift: float) -> list[Samples]:
    """Return humerus and scapula (blade, borders, spine with acromion, coracoid, socket), the latter drawn aside."""

    def at(x: float, y: float, z: float) -> Point:
        return (across * (x + shift), y, z)

    lower, upper, socket = at(13.3, -0.8, -8.0), at(10.8, -13.0, -7.0), at(16.6, -11.0, -3.5)
    acromion = [at(11.4, -10.6, -8.8), at(14.5, -12.7, -7.0), at(17.8, -14.2, -2.5)]
    coracoid = [at(15.6, -12.1, -3.0), at(14.4, -12.4, -1.0), at(15.4, -11.0, 1.0)]
    humerus = [at(19.2, -9.8, -1.0), at(21.2, -5.6, 0.0), at(26.5, 7.0, 1.0)]
    return [
        plate((lower, upper, socket), 0.24),
        round_bone([lower, at(15.0, -5.8, -6.5), socket], [0.3, 0.42, 0.62], cortex_cm=0.07),
        round_bone([lower, at(10.6, -6.0, -8.6), upper], [0.3, 0.16, 0.2], cortex_cm=0.05),
        round_bone(acromion, [0.28, 0.5, 0.72], cortex_cm=0.07),
        round_bone(coracoid, [0.5, 0.45, 0.35], cortex_cm=0.05, spongy=0.1),
        ball(at(18.6, -11.2, -1.0), 2.35, cortex_cm=0.09, spongy=0.10),
        round_bone(humerus, [1.75, 1.15, 1.05], cortex_cm=0.26, spongy=0.04),
    ]


def _spine(spec: Spec) -> list[Samples]:
    parts: list[Samples] = []
    for number in range(-2, 16):
        top = rib_head_y(number + 1, spec) - 0.9
        grow = 1 + 0.022 * (number - 4)
        z = 2.0 - float(chest_half_depth(max(top, -9.0), spec))
        parts += _vertebra(top, 0.8 * _VERTEBRA_CM * spec.height_scale, grow, z)
    return parts


def _vertebra(top: float, height: float, grow: float, z: float) -> list[Samples]:
    """Body with end plates and a waist, pedicles, transverse and spinous processes; the disc is the gap below."""
    half, middle = 1.5 * grow, top + 0.36 * height
    parts = [_vertebral_body(top, height, half, z)]
    parts += [disc((0, top + edge, z), (half, 0.85 * half), 0.035) for edge in (0.0, height)]
    for side in (-1, 1):
        pedicle = [(side * 1.12 * grow, middle, z - 1.3), (side * 1.15 * grow, middle + 0.03, z - 1.75)]
        transverse = [(side * 1.2 * grow, middle, z - 2.4), (side * 2.9, middle - 0.25, z - 3.2)]
        parts.append(round_bone(pedicle, [0.36, 0.36], cortex_cm=0.05, spongy=0.1))
        parts.append(round_bone(transverse, [0.38, 0.4], cortex_cm=0.05, spongy=0.12))
    spinous: list[Point] = [(0, middle + 0.3, z - 2.8), (0, middle + 1.6, z - 5.6)]
    return [*parts, round_bone(spinous, [0.26, 0.36], cortex_cm=0.06, spongy=0.12)]


def _vertebral_body(top: float, height: float, half: float, z: float) -> Samples:
    y = np.linspace(top, top + height, 60)
    across = half * (1 - 0.10 * np.sin(np.pi * (y - top) / height))
    path = np.stack([0 * y, y, 0 * y + z], axis=1)
    x_axis, z_axis = np.tile([1.0, 0.0, 0.0], (60, 1)), np.tile([0.0, 0.0, 1.0], (60, 1))
    tube = Tube(path=path, axis_u=x_axis, axis_v=z_axis, half_u=across, half_v=across * 0.85)
    return bone(tube, cortex_cm=0.026, spongy=0.04)
