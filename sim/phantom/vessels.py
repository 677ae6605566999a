"""Vessels and airways: branching trees in 3-D, projected like the bones.

A tree grows by joining random points of the lung, nearest the hilum first, to what has grown so far; radii follow
Murray's law (a branch's radius cubed, here to the power 2.3, is the sum of its branches').
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.phantom.grid import Map, Samples, join
from sim.phantom.spec import Spec
from sim.phantom.torso import APEX_Y_CM, DOME_Y_CM, chest_half_depth, chest_half_width
from sim.phantom.tubes import smooth_path

_MURRAY = 2.3
Inside = Callable[[Map], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Nodes (n, 3) in cm, each one's parent (the root is its own), and the radius of the branch that ends there."""

    nodes: Map
    parents: NDArray[np.int64]
    radii: Map


def grow(trunk: Map, targets: Map, *, tip_cm: float, rng: np.random.Generator) -> Tree:
    """Join `targets` (n, 3) to the `trunk` (k, 3), whose first point is the root."""
    nodes = [*trunk]
    parents = [0, *range(len(trunk) - 1)]
    reach = [0.0, *np.cumsum(np.linalg.norm(np.diff(trunk, axis=0), axis=1))]
    order = np.argsort(np.linalg.norm(targets - trunk.mean(axis=0), axis=1))
    for target in targets[order]:
        distance = np.linalg.norm(np.asarray(nodes) - target, axis=1)
        best = int(np.argmin(distance + 0.42 * np.asarray(reach)))
        steps = max(1, int(distance[best] / 0.9))
        for k in range(1, steps + 1):
            point = nodes[best] + (target - nodes[best]) * (1 / (steps - k + 1))
            nodes.append(point + rng.normal(0, 0.07, 3) * (k < steps))
            parents.append(best)
            reach.append(reach[best] + float(np.linalg.norm(nodes[-1] - nodes[best])))
            best = len(nodes) - 1
    where, up = np.asarray(nodes, np.float32), np.asarray(parents)
    return Tree(nodes=_relax(where, up, len(trunk)), parents=up, radii=_murray(up, tip_cm))


def _murray(parents: NDArray[np.int64], tip_cm: float) -> Map:
    """Radii from the tips inwards; branches always come after their parents."""
    flow = np.zeros(len(parents))
    has_branch = np.zeros(len(parents), bool)
    has_branch[parents[1:]] = True
    flow[~has_branch] = 1.0
    for k in range(len(parents) - 1, 0, -1):
        flow[parents[k]] += flow[k]
    return np.asarray(tip_cm * np.maximum(flow, 0.3) ** (1 / _MURRAY), np.float32)


def _relax(nodes: Map, parents: NDArray[np.int64], fixed: int) -> Map:
    """Round the corners: each node moves towards the middle of its parent and its branches."""
    for _ in range(3):
        total, count = nodes[parents].copy(), np.ones(len(nodes))
        np.add.at(total, parents[1:], nodes[1:])
        np.add.at(count, parents[1:], 1)
        moved = 0.5 * nodes + 0.5 * total / count[:, None]
        nodes = np.concatenate([nodes[:fixed], moved[fixed:]]).astype(np.float32)
    return nodes


def tree_samples(tree: Tree, *, step_cm: float = 0.05) -> Samples:
    """The tree's volume as points: along each branch, and across it by the chord of a round section."""
    start, end = tree.nodes[tree.parents[1:]], tree.nodes[1:]
    radius = tree.radii[1:]
    fine = radius < 0.16
    parts = [
        _branches(start[pick], end[pick], radius[pick], step_cm, across)
        for pick, across in ((fine, 7), (~fine, 31))
        if pick.any()
    ]
    return join(parts)


def _branches(start: Map, end: Map, radius: Map, step_cm: float, across: int) -> Samples:
    along = end - start
    length = np.linalg.norm(along, axis=1)
    counts = np.maximum(1, np.ceil(length / step_cm).astype(int))
    which = np.repeat(np.arange(len(start)), counts)
    t = (np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts) + 0.5) / counts[which]
    middle = start[which] + t[:, None] * along[which]
    flat = np.hypot(along[:, 0], along[:, 1]) + 1e-6
    normal = np.stack([-along[:, 1] / flat, along[:, 0] / flat], axis=1)[which]
    u = (np.arange(across) + 0.5) / across * 2 - 1
    weight = np.sqrt(1 - u**2)
    weight /= weight.sum()
    offset = radius[which, None] * u
    volume = (np.pi * radius**2 * length / counts)[which, None] * weight
    shape = offset.shape
    return Samples(
        x=(middle[:, 0:1] + offset * normal[:, 0:1]).astype(np.float32).ravel(),
        y=(middle[:, 1:2] + offset * normal[:, 1:2]).astype(np.float32).ravel(),
        z=np.broadcast_to(middle[:, 2:3], shape).astype(np.float32).ravel(),
        volume=volume.astype(np.float32).ravel(),
    )


def inside_lung(spec: Spec, side: int, margin_cm: float) -> Inside:
    """Whether points (n, 3) lie in the lung of that side (-1 right, 1 left), a margin away from its surface."""

    def test(points: Map) -> NDArray[np.bool_]:
        x, y, z = points[:, 0] * side, points[:, 1], points[:, 2]
        width, depth = chest_half_width(y, spec) - margin_cm, chest_half_depth(y, spec) - margin_cm
        inside = (np.maximum(0, x - 5.0) / np.maximum(0.1, width - 5.0)) ** 2 + (z / np.maximum(0.1, depth)) ** 2 < 1
        dome = DOME_Y_CM * spec.height_scale + spec.inspiration_cm + (spec.right_dome_higher_cm if side > 0 else 0)
        floor = dome + 0.035 * (x - 5.6) ** 2 + 0.052 * (z - 1.8) ** 2 - margin_cm
        top = APEX_Y_CM * spec.height_scale + margin_cm
        return np.asarray(inside & (y < floor) & (y > top) & (x > 2.6 + 0.12 * np.abs(z)))

    return test


def draw_inside(inside: Inside, side: int, count: int, rng: np.random.Generator) -> Map:
    """`count` points (n, 3) spread evenly over the lung."""
    kept: list[Map] = []
    while sum(map(len, kept)) < count:
        box = rng.uniform((1.5, -16, -11), (15.5, 16, 11), (count * 3, 3)).astype(np.float32)
        box[:, 0] *= side
        kept.append(box[inside(box)])
    return np.concatenate(kept)[:count]


def lung_vessels(spec: Spec) -> Samples:
    """Arteries and veins of both lungs."""
    rng = np.random.default_rng([spec.seed, 2])
    parts = []
    for side in (-1, 1):
        inside = inside_lung(spec, side, 0.9)
        for trunk, count in _trunks(side, spec):
            tree = grow(trunk, draw_inside(inside, side, count, rng), tip_cm=0.080, rng=rng)
            parts.append(tree_samples(tree))
    return join(parts)


def _trunks(side: int, spec: Spec) -> list[tuple[Map, int]]:
    """Pulmonary arteries (the left one higher) and, lower and flatter, the veins."""
    h = -3.4 if side < 0 else -4.3
    artery = [(1.6, h + 0.2, 1), (3.2, h, 0), (4.4, h + 1.0, -1), (4.9, h + 2.8, -2), (5.4, h + 5.0, -3)]
    vein = [(1.8, 0.6, -1.5), (3.2, 0.2, -1), (4.6, 0.9, -0.5)]
    out = []
    for points, count in ((artery, 330), (vein, 180)):
        out.append((np.array([(side * x * spec.width_scale, y, z) for x, y, z in points], np.float32), count))
    return out


def airways(spec: Spec) -> Samples:
    """Trachea, carina and main bronchi: air."""
    bend = 0.35 * spec.aorta_scale
    roads = [
        ([(0, -26, 1.5), (0, -16, 0.5), (-bend, -8.5, -1), (-0.3, -5.4, -1.5)], [0.8, 0.85, 0.9, 1.0]),
        ([(-0.3, -5.6, -1.5), (-1.9, -3.9, -1.5), (-3.2, -2.4, -2)], [0.72, 0.66, 0.55]),
        ([(-2.3, -3.5, -1.5), (-3.7, -4.3, -1.5)], [0.42, 0.3]),
        ([(-0.2, -5.6, -1.5), (1.9, -3.6, -2.0), (3.9, -2.2, -2.5)], [0.68, 0.58, 0.46]),
    ]
    parts = []
    for points, radii in roads:
        path, radius = smooth_path(np.array(points, np.float32), np.array(radii, np.float32))
        parts.append(_branches(path[:-1], path[1:], radius[1:], 0.05, 41))
    return join(parts)
