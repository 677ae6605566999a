"""A contact sheet of eight labelled phantoms: four normal ones above four with consolidation."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sim.phantom.image import PhantomImage, render
from sim.phantom.spec import Finding, draw_spec

_ROWS = ((Finding.NORMAL,) * 4, (Finding.LOBAR, Finding.PATCHY, Finding.LOBAR, Finding.PATCHY))
_TILE = 440
_LABEL = 22


def contact_sheet(first_seed: int, render_size: int = 1024) -> NDArray[np.uint8]:
    """Return a grey picture of eight phantoms. No two show the same body."""
    seeds = iter(range(first_seed, first_seed + 8))
    rows = [
        np.hstack([tile(render(draw_spec(next(seeds), finding), size=render_size)) for finding in row]) for row in _ROWS
    ]
    return np.vstack(rows)


def write_sheet(path: Path, first_seed: int, render_size: int = 1024) -> None:
    """Write the contact sheet as PNG. Raises OSError when the file cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ok, data = cv2.imencode(".png", contact_sheet(first_seed, render_size), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not ok:
        raise OSError(f"{path}: the picture could not be encoded")
    path.write_bytes(data.tobytes())


def tile(image: PhantomImage, side: int = _TILE) -> NDArray[np.uint8]:
    """Return an image with its caption below, uint8 (side + 22, side)."""
    picture = cv2.resize(image.grey(), (side, side), interpolation=cv2.INTER_AREA)
    # Half as many grey levels: the eye sees no difference, and the file is half as large.
    picture = (picture // 2 * 2).astype(np.uint8)
    label = np.zeros((_LABEL, side), np.uint8)
    cv2.putText(label, caption(image), (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, 230, 1, cv2.LINE_AA)
    return np.asarray(np.vstack([picture, label]), np.uint8)


def caption(image: PhantomImage) -> str:
    """Return seed, sex, age and finding as one line."""
    spec = image.spec
    what = {
        Finding.NORMAL: "no consolidation",
        Finding.LOBAR: f"consolidation, {spec.lobe}",
        Finding.PATCHY: "bronchopneumonia",
    }[spec.finding]
    return f"simulated {spec.seed}: {spec.sex} {spec.age_years}, {what}"
