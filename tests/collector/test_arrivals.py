"""Arrivals: whatever a message holds, it is read or set aside, and never raises."""

from __future__ import annotations

import json

import pytest

from collector import arrivals
from collector.arrivals import read


def outcome(arrival) -> str:
    return "rejected" if arrival.rejected is not None else "read"


@pytest.mark.parametrize(
    "change",
    [
        {"clock": {"at": "0001-01-01T00:00:00+14:00", "trusted": True}},
        {"clock": {"at": "9999-12-31T23:59:59-14:00", "trusted": True}},
        {"boot_id": "\ud800"},
    ],
    ids=["before the first year", "after the last year", "half a surrogate pair"],
)
def test_values_that_cannot_be_written_are_set_aside(a_result, a_message, change):
    arrival = read(a_message(json.dumps(a_result(1).to_dict() | change)))
    assert outcome(arrival) == "rejected"
    assert arrival.rejected["error"].startswith("result.")


@pytest.mark.parametrize("leaf", ["result", "status", "health"])
@pytest.mark.parametrize(
    "payload",
    ["{}".encode("utf-16"), "{}".encode("utf-32"), b'{"a": "\xed\xa0\x80"}', b"\xff\xfe", b"[" * 16_000],
    ids=["utf-16", "utf-32", "raw surrogate", "binary", "deep"],
)
def test_text_that_is_no_utf_8_is_set_aside(a_message, leaf, payload):
    assert outcome(read(a_message(payload, leaf=leaf))) == "rejected"


def test_a_whole_result_in_utf_16_is_set_aside(a_result, a_message):
    assert outcome(read(a_message(a_result(1).to_json().encode("utf-16")))) == "rejected"


@pytest.mark.parametrize("error", [OverflowError("x"), UnicodeDecodeError("utf-8", b"x", 0, 1, "x"), RecursionError()])
def test_a_fault_nobody_thought_of_is_set_aside_too_and_repeats_nothing(a_result, a_message, monkeypatch, error):
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(arrivals, "_result", fails)
    arrival = read(a_message(a_result(1)))
    assert arrival.rejected is not None
    assert arrival.rejected["error"] == f"message: cannot be read ({type(error).__name__})"
    assert arrival.owed is None


@pytest.mark.parametrize(
    "said",
    [
        '{"temperature_c": 1' + "0" * 400 + "}",
        '{"temperature_c": 1e999}',
        '{"temperature_c": NaN}',
        '{"alarms": {"disk": "\\ud800"}}',
        '{"alarms": {"\\udc00": "low"}}',
        '{"model": {"version": -1' + "0" * 30 + "}}",
        '{"x": ' + "[" * 50 + "]" * 50 + "}",
    ],
    ids=["huge", "infinite", "not a number", "surrogate", "surrogate name", "nested number", "deep"],
)
def test_a_health_message_that_no_page_could_show_is_set_aside(a_message, said):
    assert outcome(read(a_message(said, leaf="health"))) == "rejected"


def test_a_usual_health_message_is_kept(a_message):
    said = {"last_seq": 2**40, "temperature_c": 51.5, "model": {"name": "net", "version": 1}, "alarms": {"disk": "low"}}
    arrival = read(a_message(json.dumps(said), leaf="health"))
    assert arrival.box is not None
    assert json.loads(arrival.box["health"]) == said
