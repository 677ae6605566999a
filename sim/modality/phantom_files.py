"""Phantom files: a wish comes in; phantoms as PNG or DICOM files go out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import cv2

from sim.modality.cases import (
    Case,
    Kind,
    Way,
    ids_of,
)
from sim.modality.dx import Shot, dx_bytes
from sim.phantom import FULL_SIZE, Film, Finding, View, draw_spec, render

Choice = TypeVar("Choice", bound=StrEnum)
MIXED = "mixed"
_CYCLE = (Finding.NORMAL, Finding.LOBAR, Finding.NORMAL, Finding.PATCHY)
_SHOTS = {
    View.PA: ("PA", "CHEST", "Chest PA"),
    View.LATERAL: ("LL", "CHEST", "Chest lateral"),
    View.HAND: ("AP", "HAND", "Hand"),
}


class BadChoice(Exception):
    """A word that is none of those expected; the words list them."""


class Form(StrEnum):
    """Kind of file."""

    PNG = "png"
    DICOM = "dicom"


def write_phantoms(out: Path, *, count: int, seed: int, finding: str, view: str, form: str) -> Iterator[Path]:
    """Write `count` films of seeds from `seed`, yielding each path. Raises BadChoice, OSError."""
    findings = _CYCLE if finding == MIXED else (_choice(Finding, finding, "--finding", MIXED),)
    seen, kind = _choice(View, view, "--view"), _choice(Form, form, "--form")
    out.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        spec = draw_spec(seed + number, findings[number % len(findings)])
        film = render(spec, view=seen, size=FULL_SIZE if kind is Form.DICOM else 1024)
        path = out / f"{seen}-{spec.seed:05d}-{spec.finding}{'.dcm' if kind is Form.DICOM else '.png'}"
        path.write_bytes(_dicom(film) if kind is Form.DICOM else cv2.imencode(".png", film.grey())[1].tobytes())
        yield path


def _dicom(film: Film) -> bytes:
    view, body_part, description = _SHOTS[film.view]
    case = Case(number=film.spec.seed, kind=Kind.CHEST, way=Way.FOLDER_DICOM, seed=film.spec.seed)
    shot = Shot(
        ids=ids_of(case, f"phantom-{film.view}-{film.spec.finding}"),
        acquired_at=datetime.now(UTC),
        sex=film.spec.sex,
        age_years=film.spec.age_years,
        view=view,
        body_part=body_part,
        description=description,
        pixel_mm=film.pixel_mm,
    )
    return dx_bytes(film.pixels, shot)


def _choice(kind: type[Choice], word: str, option: str, *more: str) -> Choice:
    try:
        return kind(word)
    except ValueError:
        raise BadChoice(f"{option} {word}: one of {', '.join([*kind, *more])} expected") from None
