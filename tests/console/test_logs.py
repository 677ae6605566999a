"""Log lines of the services."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from console import logs


def line_of(**fields: object) -> dict[str, object]:
    record = logging.makeLogRecord({"name": "device.x", "levelname": "INFO", "msg": "result_sent", **fields})
    return json.loads(logs.JsonLines().format(record))


def test_a_log_line_is_one_json_object_with_the_fields_of_its_event() -> None:
    line = line_of(seq=7, created=1_795_600_800.1234)
    assert line == {
        "at": "2026-11-25T10:00:00.123Z",
        "level": "info",
        "logger": "device.x",
        "event": "result_sent",
        "seq": 7,
    }


def test_a_log_line_of_an_exception_carries_its_traceback() -> None:
    error = ValueError("broken")
    assert "ValueError: broken" in str(line_of(exc_info=(type(error), error, None))["traceback"])


def test_a_value_that_json_lacks_is_written_as_text() -> None:
    assert line_of(path=Path("spool/x"))["path"] == "spool/x"


@pytest.mark.parametrize("hours", [-5, 0, 9])
def test_a_time_is_stated_in_utc_with_milliseconds_and_zone(hours: int) -> None:
    local = datetime(2026, 11, 25, 10, 0, 0, 123_456, tzinfo=timezone(timedelta(hours=hours)))
    assert logs.utc_text(local) == f"2026-11-25T{10 - hours:02}:00:00.123Z"


def test_chatty_libraries_are_heard_from_warnings_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "root", logging.RootLogger(logging.WARNING))
    logs.set_up("error")
    assert logging.getLogger("uvicorn").level == logging.ERROR
    logs.set_up("debug")
    assert logging.getLogger("uvicorn").level == logging.WARNING
