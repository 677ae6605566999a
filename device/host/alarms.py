"""Alarms: a room's trouble comes in, by name; what stands at this moment goes out."""

from __future__ import annotations

import logging
import threading

log = logging.getLogger(__name__)


class Alarms:
    """What an administrator should know, one text per name. Logged when it begins and when it ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._standing: dict[str, str] = {}

    def set(self, name: str, text: str) -> None:
        """Raise an alarm, or change its text."""
        with self._lock:
            before = self._standing.get(name)
            self._standing[name] = text
        if before != text:
            log.warning("alarm", extra={"alarm": name, "text": text})

    def clear(self, name: str) -> None:
        """The trouble is over."""
        with self._lock:
            stood = self._standing.pop(name, None)
        if stood is not None:
            log.info("alarm_over", extra={"alarm": name})

    def standing(self) -> dict[str, str]:
        """Name and text of each."""
        with self._lock:
            return dict(self._standing)
