"""Draw an evidence map over its image, to show where the score came from.

Orange marks evidence for pneumonia and blue evidence against it. The scale is absolute, the same for every image and
every size of map: full colour is `FULL` logits for each hundredth of the image's area. A faint overlay is thus faint
evidence.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from device.bundle.ood_rule import Floats32

Grey = NDArray[np.uint8]
Colour = NDArray[np.uint8]

FULL = 0.1
"""Logits per hundredth of the image's area that have the full colour; more looks the same."""
FOR, AGAINST = (20, 130, 255), (255, 150, 40)
"""Orange and blue (as blue, green, red): distinct for readers with red-green colour blindness."""
STRONGEST = 0.65
"""Opacity of the full colour, so that the image stays visible below."""
JPEG_QUALITY = 85
ENLARGED = 2
STRIP = 44


def overlay(evidence: Floats32, image: Grey) -> Colour:
    """Return the image with the evidence laid over it, uint8 (rows, columns, 3) in BGR.

    `evidence` is (m, n), shares of the logit, interpolated linearly; `image` is uint8 (rows, columns).
    """
    rows, columns = image.shape
    enlarged = cv2.resize(strength(evidence), (columns, rows), interpolation=cv2.INTER_LINEAR)
    return _tinted(image, np.asarray(enlarged, np.float32))


def strength(evidence: Floats32) -> Floats32:
    """Return the share of the full colour, -1 (against) to 1 (for), float32 (m, n)."""
    per_hundredth = evidence.astype(np.float32) * (evidence.size / 100.0)
    share: Floats32 = np.clip(per_hundredth / FULL, -1.0, 1.0).astype(np.float32)
    return share


def jpeg(evidence: Floats32, image: Grey) -> bytes:
    """Return the overlay as a JPEG, for the flag board."""
    _, encoded = cv2.imencode(".jpg", overlay(evidence, image), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return encoded.tobytes()


def png(evidence: Floats32, image: Grey) -> bytes:
    """Return the overlay at twice the size with its scale below, as a PNG."""
    large = cv2.resize(image, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
    drawing = overlay(evidence, np.asarray(large, np.uint8))
    _, encoded = cv2.imencode(".png", np.vstack([drawing, _scale(drawing.shape[1])]))
    return encoded.tobytes()


def _scale(width: int) -> Colour:
    """Return the colour scale from full blue to full orange, labelled in logits."""
    strip = np.zeros((STRIP, width, 3), np.uint8)
    bar = np.full((12, width), 96, np.uint8)
    strip[6:18] = _tinted(bar, np.tile(np.linspace(-1, 1, width, dtype=np.float32), (12, 1)))
    _write(strip, f"-{FULL:g} against", 4)
    _write(strip, "logit per 1 % of the image", width // 2 - 76)
    _write(strip, f"for +{FULL:g}", width - 66)
    return strip


def _write(strip: Colour, text: str, at: int) -> None:
    cv2.putText(strip, text, (at, 36), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (225, 225, 225), 1, cv2.LINE_AA)


def _tinted(image: Grey, share: Floats32) -> Colour:
    """Return `image` (rows, columns) under the colour of each `share` (rows, columns)."""
    warm, cool = (np.maximum(side, 0) * np.float32(STRONGEST) for side in (share, -share))
    grey = image * (1 - warm - cool)
    channels = [
        grey + warm * np.float32(one) + cool * np.float32(other) for one, other in zip(FOR, AGAINST, strict=True)
    ]
    mixed: Colour = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    return mixed
