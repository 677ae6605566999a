"""What the gate needs to know of a header."""

from __future__ import annotations

from dataclasses import dataclass

from device.dicom.vocabulary import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the gate needs of a header.

    `modalities`: the stated one and the one the SOP class implies (one of them where the other is silent; none for a
    picture without DICOM). `body_part` a fixed term of `terms`; `frames` is 1 for a plain film; `complete` is
    false when the file ends within its header.
    """

    is_dicom: bool
    modalities: tuple[str, ...] = ()
    has_pixels: bool = True
    for_processing: bool = False
    body_part: str | None = None
    view: View | None = None
    age_years: int | None = None
    frames: int = 1
    window_missing: bool = False
    complete: bool = True
