"""Messages: whatever a message holds, it is parsed or rejected, and never raises."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collector.ingest import messages
from collector.ingest.messages import parse_message


def outcome(parsed) -> str:
    return "rejected" if parsed.rejected is not None else "parsed"


@pytest.mark.parametrize(
    "change",
    [
        {"clock": {"at": "0001-01-01T00:00:00+14:00", "trusted": True}},
        {"clock": {"at": "9999-12-31T23:59:59-14:00", "trusted": True}},
        {"boot_id": "\ud800"},
    ],
    ids=["before the first year", "after the last year", "half a surrogate pair"],
)
def test_values_that_cannot_be_written_are_rejected(a_result, a_message, change):
    parsed = parse_message(a_message(json.dumps(a_result(1).to_dict() | change)))
    assert outcome(parsed) == "rejected"
    assert parsed.rejected.error.startswith("result.")


@pytest.mark.parametrize("leaf", ["result", "status", "health"])
@pytest.mark.parametrize(
    "payload",
    ["{}".encode("utf-16"), "{}".encode("utf-32"), b'{"a": "\xed\xa0\x80"}', b"\xff\xfe", b"[" * 16_000],
    ids=["utf-16", "utf-32", "raw surrogate", "binary", "deep"],
)
def test_text_that_is_not_utf_8_is_rejected(a_message, leaf, payload):
    assert outcome(parse_message(a_message(payload, leaf=leaf))) == "rejected"


def test_a_whole_result_in_utf_16_is_rejected(a_result, a_message):
    assert outcome(parse_message(a_message(a_result(1).to_json().encode("utf-16")))) == "rejected"


@pytest.mark.parametrize("error", [OverflowError("x"), UnicodeDecodeError("utf-8", b"x", 0, 1, "x"), RecursionError()])
def test_an_unexpected_error_is_rejected_too_and_quotes_nothing(a_result, a_message, monkeypatch, error):
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(messages, "_result", fails)
    parsed = parse_message(a_message(a_result(1)))
    assert parsed.rejected is not None
    assert parsed.rejected.error == f"message: cannot be read ({type(error).__name__})"
    assert parsed.result is None


@pytest.mark.parametrize(
    "health",
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
def test_a_health_message_that_no_page_could_show_is_rejected(a_message, health):
    assert outcome(parse_message(a_message(health, leaf="health"))) == "rejected"


def test_a_usual_health_message_is_kept(a_message):
    health = {
        "last_seq": 2**40,
        "temperature_c": 51.5,
        "model": {"name": "net", "version": 1},
        "alarms": {"disk": "low"},
    }
    parsed = parse_message(a_message(json.dumps(health), leaf="health"))
    assert parsed.box is not None
    assert parsed.box.health == health


def changed(value: dict[str, Any], dotted: str, to: object) -> dict[str, Any]:
    name, _, rest = dotted.partition(".")
    return value | {name: changed(value[name], rest, to) if rest else to}


OUTSIDE = [
    ("probability", 7.0),
    ("probability", -0.1),
    ("score", 1.5),
    ("thresholds.flag_at", 1.5),
    ("thresholds.clear_below", -0.5),
    ("seq", -5),
    ("exposure.age_years", -(10**30)),
    ("exposure.age_years", 151),
    ("exposure.rows", -1),
    ("exposure.view", "<script>"),
    ("exposure.view", ""),
    ("exposure.sex", "F" * 100_000),
    ("result_id", "a" * 100_000),
    ("result_id", "A" * 32),
    ("exposure_id", "a" * 31),
    ("exposure_id", "a" * 32 + "\n"),
    ("study_id", "Doe^Jane"),
    ("patient_id", "4711"),
    ("accession_id", ""),
    ("boot_id", "b" * 65),
    ("model.digest", "d" * 63),
    ("model.name", "n" * 257),
    ("model.name", "n\0"),
    ("model.version", -1),
    ("model.preprocess_version", 0),
    ("runtime.backend", "c" * 257),
    ("timing_ms.total", -1.0),
]


@pytest.mark.parametrize(("name", "to"), OUTSIDE, ids=[f"{name} {str(to)[:12]!r}" for name, to in OUTSIDE])
def test_a_result_outside_the_contracts_bounds_is_rejected_and_gets_no_receipt(a_result, a_message, name, to):
    parsed = parse_message(a_message(json.dumps(changed(a_result(1).to_dict(), name, to))))
    assert outcome(parsed) == "rejected"
    assert parsed.result is None


@pytest.mark.parametrize(
    ("name", "to"),
    [
        ("probability", 0),
        ("probability", 1.0),
        ("score", None),
        ("seq", 0),
        ("exposure.age_years", 150),
        ("exposure.age_years", None),
        ("exposure.view", None),
        ("exposure.view", "LATERAL"),
        ("boot_id", "b" * 64),
        ("model.name", "n" * 256),
    ],
)
def test_a_result_at_the_bounds_is_parsed(a_result, a_message, name, to):
    assert outcome(parse_message(a_message(json.dumps(changed(a_result(1).to_dict(), name, to))))) == "parsed"
