"""Notify the service manager, if there is one, of the state of the box (sd_notify(3))."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """Send READY=1, WATCHDOG=1, STATUS=… or STOPPING=1. Without a service manager nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # Linux's abstract names begin with a zero byte
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
        try:
            manager.connect(address)
            manager.send(state.encode())
        except OSError:
            return  # its watchdog will notice


def watchdog_s() -> float | None:
    """Return the watchdog period of systemd in seconds, or None where it has none."""
    text = os.environ.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isdigit() and int(text) else None
