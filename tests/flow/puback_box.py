"""The negative control of the kill campaign: a box that takes the broker's PUBACK as delivery."""

from __future__ import annotations

import sys
from pathlib import Path

from console import logs
from device.app import run_box
from device.config import load_config
from device.delivery.events import FAILURE, Acknowledged
from device.delivery.publisher import Publisher
from device.service import Box


class PubackPublisher(Publisher):
    """Forgets a row as soon as the broker has acknowledged it, as many programs do."""

    def _on_acknowledged(self, event: Acknowledged) -> None:
        seq = self._in_flight.acknowledge(event.mid)
        message = None if seq is None else self._outbox.pending(seq)
        if message is None or event.code >= FAILURE:
            return
        self._outbox.confirm([message.result_id])
        self._in_flight.drop(message.seq)


def main() -> None:
    config = load_config(Path(sys.argv[sys.argv.index("--config") + 1]))
    logs.set_up(config.log_level)
    run_box(Box(config, publisher_type=PubackPublisher))


if __name__ == "__main__":
    main()
