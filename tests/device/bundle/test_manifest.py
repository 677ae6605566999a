from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from device.bundle.manifest import (
    Calibration,
    Isotonic,
    Manifest,
    NoCalibration,
    Platt,
    Temperature,
    sigmoid,
)
from tests.support.bundle_factory import tiny_manifest

ISOTONIC = Isotonic(logits=(-2.0, 0.0, 1.0), probabilities=(0.1, 0.4, 0.9))
CALIBRATIONS = [NoCalibration(), Platt(a=0.7, b=-0.3), Temperature(t=2.5), ISOTONIC]
FILES = {"files": {"model.tflite": "0" * 64}, "signed_by": "0" * 16}


@pytest.mark.parametrize("calibration", CALIBRATIONS)
@given(one=st.floats(-1e6, 1e6), other=st.floats(-1e6, 1e6))
def test_calibration_gives_probabilities_that_keep_the_order(calibration: Any, one: float, other: float) -> None:
    low, high = (calibration.apply(logit) for logit in sorted([one, other]))
    assert 0.0 <= low <= high <= 1.0


def test_calibrations_follow_their_formulas() -> None:
    assert NoCalibration().apply(0.0) == 0.5
    assert Platt(a=2.0, b=1.0).apply(0.5) == pytest.approx(1 / (1 + math.exp(-2)))
    assert Temperature(t=4.0).apply(2.0) == pytest.approx(1 / (1 + math.exp(-0.5)))
    assert [ISOTONIC.apply(x) for x in (-9, -2, -1, 0.5, 1, 9)] == pytest.approx([0.1, 0.1, 0.25, 0.65, 0.9, 0.9])


@given(st.floats(-1e300, 1e300))
def test_the_sigmoid_never_overflows(logit: float) -> None:
    assert 0.0 <= sigmoid(logit) <= 1.0


@pytest.mark.parametrize(
    "value",
    [
        {"method": "platt", "a": -1.0, "b": 0.0},
        {"method": "platt", "a": math.nan, "b": 0.0},
        {"method": "temperature", "t": 0.0},
        {"method": "isotonic", "logits": [0, 0], "probabilities": [0, 1]},
        {"method": "isotonic", "logits": [0, 1], "probabilities": [0.6, 0.5]},
        {"method": "isotonic", "logits": [0, 1], "probabilities": [0.5]},
        {"method": "magic"},
    ],
)
def test_a_calibration_that_would_turn_the_order_round_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Calibration).validate_python(value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", 2),
        ("name", "Bad Name"),
        ("version", 0),
        ("surprise", 1),
        ("created", "2026-01-01T00:00:00"),
        ("thresholds", {"flag_at": 0.2, "clear_below": 0.5, "chosen_on": "", "aim": ""}),
        ("outputs", {"kind": "evidence"}),
        ("files", {"../model.tflite": "0" * 64}),
        ("files", {"model.tflite": "short"}),
        ("input", {"shape": [2, 224, 224, 1], "dtype": "int8", "scale": 1.0, "zero_point": 0}),
        ("input", {"shape": [1, 224, 224, 1], "dtype": "int8", "scale": 0.0, "zero_point": 0}),
        ("golden", {"tolerance_logit": math.inf}),
    ],
)
def test_a_manifest_with_a_wrong_field_is_refused(field: str, value: Any) -> None:
    Manifest.model_validate({**tiny_manifest(), **FILES})
    with pytest.raises(ValidationError, match=field):
        Manifest.model_validate({**tiny_manifest(), **FILES, field: value})


def test_a_manifest_survives_the_way_through_its_text() -> None:
    manifest = Manifest.model_validate({**tiny_manifest(), **FILES})
    assert Manifest.model_validate_json(manifest.model_dump_json(by_alias=True)) == manifest
