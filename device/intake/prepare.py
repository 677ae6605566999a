"""Prepare: the path of one exposure comes in; the gate's decision, and the network input if accepted, goes out.

Runs in the sandbox's worker: everything that touches untrusted input is called from here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from device.config import GateConfig, LimitsConfig
from device.contract import Exposure, Reason, Source
from device.dicom.reader import (
    Identity,
    ImageFile,
    LoadedPixels,
    Refused,
    empty_exposure,
    open_image_file,
)
from device.intake.gate import (
    Accepted,
    AgeLimits,
    GateDecision,
    Rejected,
    decide_gate,
)
from device.preprocess.render import Rendered, render

__all__ = ["Identity", "Prepared", "prepare"]

MIN_SIDE = 32
"""Pixels. An exposure with a shorter side shows no chest."""
MIN_GREYS = 3
"""Distinct values of the image: two are a mask or a step, no radiograph."""
MIN_SPREAD = 1.0
"""Standard deviation of the image in grey levels. Below it the image is one grey, such as a blank exposure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One exposure, ready for the network or rejected.

    `image` uint8 (224, 224), 0 black to 255 white, and `thumbnail` (JPEG) stand exactly when the decision is Accepted.
    `identity` never leaves the box. Milliseconds; None for what did not happen.
    """

    exposure: Exposure
    identity: Identity
    decision: GateDecision
    image: NDArray[np.uint8] | None = None
    thumbnail: bytes | None = None
    decode_ms: float | None = None
    preprocess_ms: float | None = None

    @classmethod
    def unread(cls, source: Source, reason: Reason, detail: str = "") -> Self:
        """An exposure of which nothing is known but that it cannot be used."""
        decision = Rejected(reason=reason, detail=detail)
        return cls(exposure=empty_exposure(source), identity=Identity(), decision=decision)


def prepare(path: Path, *, source_hint: Source, policy: GateConfig, ages: AgeLimits, limits: LimitsConfig) -> Prepared:
    """Header, gate, pixels, image. `source_hint` is how the exposure came, for a file that says nothing of itself.

    Never raises for a fault of the exposure: that is a rejection.
    """
    started = time.perf_counter()
    try:
        file = open_image_file(path, limits)
    except Refused as refusal:
        return replace(Prepared.unread(source_hint, refusal.reason, refusal.detail), decode_ms=_since(started))
    decision = decide_gate(file.facts, policy, ages)
    if isinstance(decision, Rejected):
        return Prepared(exposure=file.exposure, identity=file.identity, decision=decision, decode_ms=_since(started))
    return _prepare_pixels(file, decision, started)


def _prepare_pixels(file: ImageFile, decision: Accepted, started: float) -> Prepared:
    header_only = Prepared(exposure=file.exposure, identity=file.identity, decision=decision)
    try:
        loaded = file.load()
        decoded = time.perf_counter()
        rendered = _rendered(loaded)
        _check_content(loaded, rendered)
    except Refused as refusal:
        late = Rejected(reason=refusal.reason, caveats=decision.caveats, detail=refusal.detail)
        return replace(header_only, decision=late, decode_ms=_since(started))
    caveats = decision.caveats + tuple(caveat for caveat in loaded.caveats if caveat not in decision.caveats)
    return replace(
        header_only,
        decision=Accepted(caveats=caveats),
        image=rendered.image,
        thumbnail=rendered.thumbnail,
        decode_ms=(decoded - started) * 1e3,
        preprocess_ms=_since(decoded),
    )


def _rendered(loaded: LoadedPixels) -> Rendered:
    try:
        # A rescale beyond all numbers leaves one grey, which is refused below.
        with np.errstate(over="ignore", invalid="ignore"):
            return render(loaded.pixels, loaded.rendering)
    except MemoryError:
        raise Refused(Reason.TOO_LARGE) from None
    except cv2.error as error:
        out_of_memory = error.code == cv2.Error.StsNoMem
        raise Refused(Reason.TOO_LARGE if out_of_memory else Reason.UNREADABLE) from None


def _check_content(loaded: LoadedPixels, rendered: Rendered) -> None:
    """The network gives a flag for everything, also for exposures that show nothing. Raises Refused."""
    small = min(loaded.pixels.shape[:2]) < MIN_SIDE
    if small or float(rendered.image.std()) < MIN_SPREAD or len(np.unique(rendered.image)) < MIN_GREYS:
        raise Refused(Reason.OUT_OF_DISTRIBUTION)


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1e3
