"""Logging of a service: one JSON object per line on standard error. Events and numbers, no patients."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter

CHATTY_LIBRARIES = ("alembic", "matplotlib", "sqlalchemy", "uvicorn")
"""Their informational lines say nothing about the service."""


def utc_text(at: datetime) -> str:
    """Return a time as every log line states it, for instance 2026-11-25T10:00:00.123Z."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonLines(JsonFormatter):
    """Time, level, logger, event, and the fields that the record carries."""

    def __init__(self) -> None:
        super().__init__(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={
                "asctime": "at",
                "levelname": "level",
                "name": "logger",
                "message": "event",
                "exc_info": "traceback",
            },
            json_default=str,
        )

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002
        """Return the record's time by `utc_text`."""
        return utc_text(datetime.fromtimestamp(record.created, UTC))

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Return the line's fields with the level in lower case."""
        log_data["level"] = log_data["level"].lower()
        return log_data


def set_up(level: str) -> None:
    """Send every log line of this process from `level` ("debug" to "error") on to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for library in CHATTY_LIBRARIES:
        logging.getLogger(library).setLevel(max(logging.WARNING, logging.getLogger().level))
