"""The chest in PA view: what each ray passes through."""

from __future__ import annotations

import cv2
import numpy as np

from sim.phantom.detector import Anatomy
from sim.phantom.disease import consolidate
from sim.phantom.grid import FIELD_CM, Grid, Map, blur, fractal, make_grid, project, resize
from sim.phantom.skeleton import build_skeleton
from sim.phantom.spec import Spec
from sim.phantom.torso import build_torso, hila
from sim.phantom.vessels import airways, lung_vessels


def chest_anatomy(spec: Spec, size: int) -> Anatomy:
    """Return the path lengths, (size, size) each. Smooth solids are computed at half size."""
    shift = (spec.shift_x_cm, spec.shift_y_cm)
    grid, half = make_grid(size, shift), make_grid(size // 2, shift)
    torso = build_torso(half, spec)
    rng = np.random.default_rng([spec.seed, 4])
    disease = consolidate(half, spec)
    lung = resize(
        blur(torso.lung, 0.05 / half.pixel_cm)
        * (1 + 0.022 * fractal(half.size, rng, coarse=9, octaves=6, roughness=0.75)),
        size,
    )
    vessels = blur(project(grid, lung_vessels(spec), rotation_deg=spec.rotation_deg), 0.03 / grid.pixel_cm)
    pipes = blur(project(grid, airways(spec), rotation_deg=spec.rotation_deg), 0.06 / grid.pixel_cm)
    uneven = 1 + 0.010 * fractal(half.size, rng, coarse=5, octaves=4, roughness=0.6)
    body = resize(torso.body * uneven, size)
    filled = np.clip(resize(disease.filled, size), 0, 1)
    open_bronchi = resize(disease.bronchi, size) * filled
    inside = np.minimum(1, lung / 3.0)
    return Anatomy(
        body=body,
        fat=np.minimum(2 * spec.fat_cm + 0.6, 0.5 * body),
        lung=np.maximum(lung, 0),
        filled=filled,
        vessels=(vessels + resize(hila(half, spec), size)) * inside,
        air=np.minimum(pipes + resize(torso.gas, size) + open_bronchi, body),
        bone=build_skeleton(grid, spec),
        lead=_marker(grid, spec),
    )


def _marker(grid: Grid, spec: Spec) -> Map:
    """Return the thickness (cm) of a lead letter at the shoulder of the side that it names."""
    mask = np.zeros((grid.size, grid.size), np.uint8)
    if spec.marker:
        x = 18.6 if spec.marker == "L" else -19.6
        where = tuple(int((v / FIELD_CM + 0.5) * grid.size) for v in (x, -17.3))
        cv2.putText(
            mask,
            spec.marker,
            where,
            cv2.FONT_HERSHEY_SIMPLEX,
            grid.size / 620,
            255,
            max(2, grid.size // 170),
            cv2.LINE_AA,
        )
    return np.asarray(blur(mask.astype(np.float32) / 255, 1.0) * 3.0, np.float32)
