"""Bones as bent tubes, plates, balls and discs: points in 3-D, each with its volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.phantom.grid import Map, Samples, join

Point = tuple[float, float, float]
SPONGY = 0.16
"""Share of compact bone in spongy bone."""
_STEP_CM = 0.045
_INNER = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Tube:
    """A bent tube of elliptical section: `path` and unit `axis_*` are (n, 3) in cm, the half-axes `half_*` (n,)."""

    path: Map
    axis_u: Map
    axis_v: Map
    half_u: Map
    half_v: Map

    def at(self, angle: Map, radius: Map, volume: Map) -> Samples:
        """Points of the section: at `angle`, at `radius` (share of the half-axes), each standing for `volume`."""
        u = (radius * self.half_u[:, None] * np.cos(angle))[..., None] * self.axis_u[:, None]
        v = (radius * self.half_v[:, None] * np.sin(angle))[..., None] * self.axis_v[:, None]
        xyz = (self.path[:, None] + u + v).astype(np.float32)
        return Samples(x=xyz[..., 0], y=xyz[..., 1], z=xyz[..., 2], volume=volume.astype(np.float32))


def bone(tube: Tube, *, cortex_cm: float | Map, spongy: float = SPONGY) -> Samples:
    """A cortical shell, `cortex_cm` one thickness or (n,), and the compact-bone share of the spongy bone inside."""
    length = np.linalg.norm(np.gradient(tube.path, axis=0), axis=1)
    around_cm = 2 * np.pi * max(tube.half_u.max(), tube.half_v.max())
    count = int(np.clip(around_cm / _STEP_CM, 32, 240))
    angle = 2 * np.pi * (np.arange(count) + 0.5) / count
    arc = np.hypot(tube.half_u[:, None] * np.sin(angle), tube.half_v[:, None] * np.cos(angle)) * (2 * np.pi / count)
    shell = tube.at(angle, np.ones(1), (length * cortex_cm)[:, None] * arc)
    # Irrational steps spread the inner points evenly without lining them up.
    k = np.arange(len(length) * _INNER).reshape(-1, _INNER)
    radius, turn = np.sqrt((k * 0.7548776662) % 1), 2 * np.pi * ((k * 0.5698402910) % 1)
    volume = np.repeat((np.pi * tube.half_u * tube.half_v * length / _INNER)[:, None], _INNER, 1) * spongy
    return join([shell, tube.at(turn, radius, volume)])


def round_bone(points: list[Point], radii: list[float], *, cortex_cm: float, spongy: float = SPONGY) -> Samples:
    """A bone of round section through a few points (smoothly), its radius running from point to point."""
    path, radius = smooth_path(np.array(points, np.float32), np.array(radii, np.float32))
    tangent = unit(np.gradient(path, axis=0))
    axis_u = unit(np.cross(tangent, np.array([1e-3, 1e-3, 1.0])))
    tube = Tube(path=path, axis_u=axis_u, axis_v=np.cross(tangent, axis_u), half_u=radius, half_v=radius)
    return bone(tube, cortex_cm=cortex_cm, spongy=spongy)


def smooth_path(points: Map, values: Map) -> tuple[Map, Map]:
    """Catmull-Rom curve through `points` (k, 3) with `values` (k,) along it, a sample about every half millimetre."""
    length = float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())
    t = np.linspace(0, len(points) - 1, max(8, int(length / _STEP_CM)))
    segments = np.minimum(t.astype(int), len(points) - 2)
    u = (t - segments)[:, None]
    padded = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    p0, p1, p2, p3 = (padded[segments + k] for k in range(4))
    path = 0.5 * (2 * p1 + (p2 - p0) * u + (2 * p0 - 5 * p1 + 4 * p2 - p3) * u**2 + (3 * p1 - p0 - 3 * p2 + p3) * u**3)
    return path.astype(np.float32), np.interp(t, np.arange(len(points)), values).astype(np.float32)


def unit(vectors: Map) -> Map:
    """The same directions (n, 3) with length 1."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), np.float32)


def plate(corners: tuple[Point, Point, Point], thickness_cm: float) -> Samples:
    """A thin triangle of bone, thinner in its middle; its volume is area times thickness."""
    a, b, c = (np.array(corner) for corner in corners)
    axis = (np.arange(240) + 0.5) / 240
    u, v = np.meshgrid(axis, axis)
    keep = (u + v) < 1
    u, v = u[keep], v[keep]
    xyz = (a + u[:, None] * (b - a) + v[:, None] * (c - a)).astype(np.float32)
    hollow = 1 - 0.55 * np.minimum(1, 27 * u * v * (1 - u - v))
    each = 0.5 * float(np.linalg.norm(np.cross(b - a, c - a))) * thickness_cm / len(u)
    return Samples(x=xyz[:, 0], y=xyz[:, 1], z=xyz[:, 2], volume=(hollow * each).astype(np.float32))


def ball(middle: Point, radius: float, *, cortex_cm: float, spongy: float) -> Samples:
    """A round head of bone: a shell, and spongy bone inside (a Fibonacci sphere with irrational depths)."""
    k = np.arange(40_000) + 0.5
    polar, turn = np.arccos(1 - 2 * k / len(k)), np.pi * (1 + 5**0.5) * k
    outward = np.stack([np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], axis=1)
    depth = radius * np.cbrt((k * 0.7548776662) % 1)
    parts = []
    for r, volume in ((radius, 4 * np.pi * radius**2 * cortex_cm), (depth, 4 / 3 * np.pi * radius**3 * spongy)):
        xyz = (np.array(middle) + np.reshape(r, (-1, 1)) * outward).astype(np.float32)
        each = np.full(len(k), volume / len(k), np.float32)
        parts.append(Samples(x=xyz[:, 0], y=xyz[:, 1], z=xyz[:, 2], volume=each))
    return join(parts)


def disc(middle: Point, radii: tuple[float, float], thickness_cm: float) -> Samples:
    """A flat level disc of bone (an end plate): half-axes across and front to back, in cm."""
    k = np.arange(4000) + 0.5
    r, turn = np.sqrt(k / len(k)), np.pi * (1 + 5**0.5) * k
    uneven = 0.05 * np.cos(7 * turn)
    return Samples(
        x=(middle[0] + radii[0] * r * np.cos(turn)).astype(np.float32),
        y=(middle[1] + uneven).astype(np.float32),
        z=(middle[2] + radii[1] * r * np.sin(turn)).astype(np.float32),
        volume=np.full(len(k), np.pi * radii[0] * radii[1] * thickness_cm / len(k), np.float32),
    )
