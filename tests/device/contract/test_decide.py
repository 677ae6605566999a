from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.contract import Flag, Thresholds, decide

POINT = Thresholds(flag_at=0.7, clear_below=0.3)


@pytest.mark.parametrize(
    ("probability", "flag"),
    [
        (0.0, Flag.CLEAR),
        (math.nextafter(0.3, 0), Flag.CLEAR),
        (0.3, Flag.REVIEW),
        (math.nextafter(0.7, 0), Flag.REVIEW),
        (0.7, Flag.PNEUMONIA),
        (1.0, Flag.PNEUMONIA),
    ],
)
def test_a_threshold_belongs_to_the_more_careful_flag(probability: float, flag: Flag) -> None:
    assert decide(probability, POINT) is flag


@given(st.floats(0, 1))
def test_equal_thresholds_leave_nothing_to_review(probability: float) -> None:
    assert decide(probability, Thresholds(flag_at=0.5, clear_below=0.5)) is not Flag.REVIEW


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_higher_probability_is_never_a_lesser_flag(one: float, other: float) -> None:
    order = [Flag.CLEAR, Flag.REVIEW, Flag.PNEUMONIA]
    low, high = sorted([one, other])
    assert order.index(decide(low, POINT)) <= order.index(decide(high, POINT))


@pytest.mark.parametrize("probability", [math.nan, math.inf, -math.inf, -0.01, 1.01])
def test_a_number_that_is_no_probability_never_becomes_a_flag(probability: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        decide(probability, POINT)
