"""Alarms: problems that last, by name, until the part of the box that raised them clears them."""

from __future__ import annotations

import logging
import threading

log = logging.getLogger(__name__)


class Alarms:
    """What an administrator should know, one text per name. Logged when an alarm begins and when it ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: dict[str, str] = {}

    def set(self, name: str, text: str) -> None:
        """Raise an alarm, or change its text."""
        with self._lock:
            previous = self._active.get(name)
            self._active[name] = text
        if previous != text:
            log.warning("alarm", extra={"alarm": name, "text": text})

    def clear(self, name: str) -> None:
        """End an alarm; nothing happens if there is none of this name."""
        with self._lock:
            text = self._active.pop(name, None)
        if text is not None:
            log.info("alarm_over", extra={"alarm": name})

    def active(self) -> dict[str, str]:
        """Return the name and text of each active alarm."""
        with self._lock:
            return dict(self._active)
