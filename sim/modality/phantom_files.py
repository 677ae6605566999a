"""Phantoms as PNG or DICOM files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import cv2

from console.errors import UsageError
from sim.modality.cases import Case, CaseType, Transport, identifiers_of
from sim.modality.dx import Acquisition, dx_bytes
from sim.phantom import FULL_SIZE, Finding, PhantomImage, View, draw_spec, render

Choice = TypeVar("Choice", bound=StrEnum)
MIXED = "mixed"
_MIXED_FINDINGS = (Finding.NORMAL, Finding.LOBAR, Finding.NORMAL, Finding.PATCHY)
_ATTRIBUTES = {
    View.PA: ("PA", "CHEST", "Chest PA"),
    View.LATERAL: ("LL", "CHEST", "Chest lateral"),
    View.HAND: ("AP", "HAND", "Hand"),
}
"""View Position, Body Part Examined and Series Description."""


class InvalidChoice(UsageError):
    """An option has none of the expected values; the message lists them."""


class Form(StrEnum):
    """Type of file."""

    PNG = "png"
    DICOM = "dicom"


def write_phantoms(out: Path, *, count: int, seed: int, finding: str, view: str, form: str) -> Iterator[Path]:
    """Write `count` images of the seeds from `seed` on, and yield each path. Raises InvalidChoice, OSError."""
    findings = _MIXED_FINDINGS if finding == MIXED else (_choice(Finding, finding, "--finding", MIXED),)
    view_choice, form_choice = _choice(View, view, "--view"), _choice(Form, form, "--format")
    dicom = form_choice is Form.DICOM
    out.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        spec = draw_spec(seed + number, findings[number % len(findings)])
        image = render(spec, view=view_choice, size=FULL_SIZE if dicom else 1024)
        path = out / f"{view_choice}-{spec.seed:05d}-{spec.finding}{'.dcm' if dicom else '.png'}"
        path.write_bytes(_dicom(image) if dicom else cv2.imencode(".png", image.grey())[1].tobytes())
        yield path


def _dicom(image: PhantomImage) -> bytes:
    view, body_part, description = _ATTRIBUTES[image.view]
    spec = image.spec
    case = Case(number=spec.seed, case_type=CaseType.CHEST, transport=Transport.FOLDER_DICOM, seed=spec.seed)
    acquisition = Acquisition(
        identifiers=identifiers_of(case, f"phantom-{image.view}-{spec.finding}"),
        acquired_at=datetime.now(UTC),
        sex=spec.sex,
        age_years=spec.age_years,
        view=view,
        body_part=body_part,
        description=description,
        pixel_mm=image.pixel_mm,
    )
    return dx_bytes(image.pixels, acquisition)


def _choice(choices: type[Choice], value: str, option: str, *more: str) -> Choice:
    try:
        return choices(value)
    except ValueError:
        raise InvalidChoice(f"{option}: expected one of {', '.join([*choices, *more])}, got {value}") from None
