"""Evidence: a network's map and the film it judged come in; a picture of where the score came from goes out. Pure.

Orange places speak for pneumonia and blue ones against it. The scale is absolute, the same for every film and every
size of map: full colour is `FULL` logits for each hundredth of the film's area. A faint picture is thus faint evidence.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from device.bundle.ood_rule import Floats32

Grey = NDArray[np.uint8]
Colour = NDArray[np.uint8]

FULL = 0.1
"""Logits per hundredth of the film's area that have the full colour; what goes beyond looks the same."""
FOR, AGAINST = (20, 130, 255), (255, 150, 40)
"""Orange and blue (as blue, green, red), which readers who cannot tell red from green tell apart."""
STRONGEST = 0.65
"""How much of the full colour covers the film, so that it stays visible below."""
JPEG_QUALITY = 85
ENLARGED = 2
STRIP = 44


def overlay(evidence: Floats32, film: Grey) -> Colour:
    """The film with the evidence laid over it.

    `evidence` (m, n), shares of the logit; `film` uint8 (rows, columns). Returns uint8 (rows, columns, 3), blue first.
    """
    rows, columns = film.shape
    # Between the centres of two places the colour passes from one to the other in a straight line.
    wide = cv2.resize(strength(evidence), (columns, rows), interpolation=cv2.INTER_LINEAR)
    return _tinted(film, np.asarray(wide, np.float32))


def strength(evidence: Floats32) -> Floats32:
    """Share of the full colour, -1 (against) to 1 (for), float32 (m, n)."""
    per_hundredth = evidence.astype(np.float32) * (evidence.size / 100.0)
    found: Floats32 = np.clip(per_hundredth / FULL, -1.0, 1.0).astype(np.float32)
    return found


def jpeg(evidence: Floats32, film: Grey) -> bytes:
    """The overlay as a JPEG, for the flag board."""
    _, encoded = cv2.imencode(".jpg", overlay(evidence, film), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return encoded.tobytes()


def png(evidence: Floats32, film: Grey) -> bytes:
    """The overlay at twice the size with its scale below, as a PNG that stands for itself."""
    large = cv2.resize(film, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
    picture = overlay(evidence, np.asarray(large, np.uint8))
    _, encoded = cv2.imencode(".png", np.vstack([picture, _scale(picture.shape[1])]))
    return encoded.tobytes()


def _scale(width: int) -> Colour:
    """The colours from full blue to full orange, with their meaning in numbers."""
    strip = np.zeros((STRIP, width, 3), np.uint8)
    bar = np.full((12, width), 96, np.uint8)
    strip[6:18] = _tinted(bar, np.tile(np.linspace(-1, 1, width, dtype=np.float32), (12, 1)))
    _write(strip, f"-{FULL:g} against", 4)
    _write(strip, "logit per 1 % of the film", width // 2 - 76)
    _write(strip, f"for +{FULL:g}", width - 66)
    return strip


def _write(strip: Colour, text: str, at: int) -> None:
    cv2.putText(strip, text, (at, 36), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (225, 225, 225), 1, cv2.LINE_AA)


def _tinted(film: Grey, share: Floats32) -> Colour:
    """`film` (rows, columns) under the colour of each `share` (rows, columns)."""
    warm, cool = (np.maximum(side, 0) * np.float32(STRONGEST) for side in (share, -share))
    grey = film * (1 - warm - cool)
    channels = [
        grey + warm * np.float32(one) + cool * np.float32(other) for one, other in zip(FOR, AGAINST, strict=True)
    ]
    mixed: Colour = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    return mixed
