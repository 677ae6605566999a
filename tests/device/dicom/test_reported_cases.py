"""Inputs from public bug reports, each with its right answer, through the real path: file to decision and image.

They lie beside the project (`../shared/data/cases`); without them the tests skip. Each stands for its kind, so the
mechanisms have tests of their own that need no such file.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device.contract import Caveat
from device.intake.gate import Rejected
from device.intake.prepare import Prepared
from tests.support.exposures import prepared

ROOT = Path(__file__).resolve().parents[3].parent
CASES = next((at for at in (ROOT / "shared/data/cases", ROOT.parent / "shared/data/cases") if at.is_dir()), None)
MAX_GREY_LEVELS = 3


@dataclass(frozen=True, kw_only=True)
class Case:
    """One input: what it must end as. `images`: any of these pictures is right."""

    path: Path
    answer: dict[str, Any]
    text: str


def _cases(folder: str) -> list[Case]:
    if CASES is None:
        return []
    cases = []
    for path in sorted((CASES / folder).rglob("*expected.json")):
        answer = json.loads(path.read_text(encoding="utf-8"))
        name = path.name.removesuffix(".expected.json")
        file = path.parent / answer["file"] if "file" in answer else path.parent / name
        if file.is_file() and isinstance(answer.get("expect", answer), dict):
            cases.append(Case(path=file, answer=answer, text=str(answer.get("expected", ""))))
    return cases


def _names(case: Case) -> str:
    return case.path.name if case.path.stem != "in" else case.path.parent.name


needs_cases = pytest.mark.skipif(CASES is None, reason="../shared/data/cases is not there: reported inputs are not run")


@cache
def _base() -> np.ndarray:
    assert CASES is not None
    return prepared(CASES / "dicom/base.dcm").image.astype(int)


def _reason(exposure: Prepared) -> str | None:
    return exposure.decision.reason.value if isinstance(exposure.decision, Rejected) else None


def _is_base(exposure: Prepared) -> bool:
    return exposure.image is not None and np.abs(exposure.image - _base()).max() <= MAX_GREY_LEVELS


def _is_inverted(exposure: Prepared) -> bool:
    return exposure.image is not None and (
        np.abs(255 - exposure.image.astype(int) - _base()).max()
        <= (MAX_GREY_LEVELS if Caveat.WINDOW_MISSING not in exposure.decision.caveats else 10)
    )


def _resembles_base(exposure: Prepared) -> bool:
    """The same picture in another grey scale: LUTs and windows of other ranges."""
    image = exposure.image
    return image is not None and np.corrcoef(image.ravel(), _base().ravel())[0, 1] > 0.9 and image.max() >= 240


IMAGES = {
    "F2": _is_base,
    "F5": _is_base,
    "F16": _is_base,
    "F17": _resembles_base,
    "F18": _is_inverted,
    "F4": _resembles_base,
    "F6": _is_base,
    "F21": _resembles_base,
}
"""By kind of fault: how the picture must look where the exposure is accepted."""


def _image_is_right(case: Case, exposure: Prepared) -> bool:
    fault = case.answer["kind"]
    if fault == "F3":
        return _is_inverted(exposure) if case.path.name.startswith("mod_lut") else _resembles_base(exposure)
    if fault == "F7":
        return exposure.image is None or _is_inverted(exposure)
    if fault == "F16" and Caveat.ORIENTATION_UNCLEAR in exposure.decision.caveats:
        return True
    return IMAGES[fault](exposure) if fault in IMAGES else True


@needs_cases
@pytest.mark.parametrize("case", _cases("dicom"), ids=_names)
def test_a_reported_file_ends_as_it_should(case):
    exposure = prepared(case.path)
    reason, unclear = _reason(exposure), {caveat.value for caveat in exposure.decision.caveats}
    if match := re.search(r"\b(minor|unreadable|not_chest|lateral_view)\b", case.text):
        contradiction = "caveat" in case.text and (reason or any("unclear" in caveat for caveat in unclear))
        assert reason == match[1] or contradiction or "not refused" in case.text
    if "not refused as lateral" in case.text:
        assert reason is None
    if "accepted" in case.text:
        assert reason is None
    if case.answer["kind"] == "F9":
        assert exposure.exposure.age_years == int(case.text[:2])
    if case.answer["kind"] == "F22":
        assert exposure.exposure.acquired_at is not None
    assert _image_is_right(case, exposure)


@needs_cases
@pytest.mark.parametrize("case", _cases("headers"), ids=_names)
def test_a_reported_header_ends_as_it_should(case):
    exposure = prepared(case.path)
    expect = case.answer["expect"]
    verdict = "rejected" if isinstance(exposure.decision, Rejected) else "accepted"
    assert verdict == expect.get("verdict", verdict)
    assert _reason(exposure) == expect.get("reason", _reason(exposure))
    for name in ("body_part", "age_years"):
        assert getattr(exposure.exposure, name) == expect.get(name, getattr(exposure.exposure, name))
    if "caveats" in expect:
        assert [caveat.value for caveat in exposure.decision.caveats] == expect["caveats"]
    if "patient_name" in expect:
        assert exposure.identity.patient_name == expect["patient_name"]
    if "acquired_at" in expect:
        assert exposure.exposure.acquired_at.isoformat() == expect["acquired_at"].replace("Z", "+00:00")
    if "wrapped" in expect.get("note", ""):
        assert exposure.image is None or exposure.decision.caveats


@needs_cases
def test_reported_jpeg_lossless_files_give_the_picture_without_point_transform_or_restart():
    folder = CASES / "reception"
    pairs = [("jpeg_lossless_restart/lj_plain12.dcm", "jpeg_lossless_restart/lj_restart12.dcm")]
    for source in ("pt_src_p14sv6", "ptreal_viral"):
        made = "jpeg_lossless_point_transform_made"
        pairs += [(f"{made}/{source}_pt0.dcm", f"{made}/{source}_pt{bits}.dcm") for bits in (1, 2)]
    for plain, other in pairs:
        difference = prepared(folder / plain).image.astype(int) - prepared(folder / other).image
        assert np.abs(difference).max() <= 2, other


@needs_cases
def test_reported_jpeg_files_with_stray_bytes_are_read():
    for path in sorted((CASES / "reception/jpeg_tolerated_by_libjpeg").glob("*.jpg")):
        assert _reason(prepared(path)) is None, path.name


@needs_cases
def test_a_data_set_written_otherwise_than_its_meta_group_says_is_read():
    exposure = prepared(CASES / "reception/meta_implicit_body_explicit/meta_implicit_body_explicit.dcm")
    assert _reason(exposure) is None
    assert (exposure.exposure.age_years, exposure.exposure.transfer_syntax) == (45, "1.2.840.10008.1.2.1")
