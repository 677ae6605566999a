"""systemd: a word about our state comes in; it goes out to the service manager, if one asked to hear (sd_notify(3))."""

from __future__ import annotations

import os
import socket


def notify(word: str) -> None:
    """Say READY=1, WATCHDOG=1, STATUS=… or STOPPING=1. Without a service manager nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # Linux's abstract names begin with a zero byte
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
        try:
            manager.connect(address)
            manager.send(word.encode())
        except OSError:
            return  # it will miss us by its own watchdog


def watchdog_s() -> float | None:
    """How long systemd waits for a sign of life, in seconds; None where it does not ask for one."""
    text = os.environ.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isdigit() and int(text) else None
