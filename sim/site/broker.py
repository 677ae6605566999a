"""Broker: a file of settings comes in; an MQTT 5 broker on this machine goes out, rumqttd inside the `iotcore` wheel.

For demonstration and tests: it keeps nothing when it ends. Real sites run mosquitto (firmware_config/). It runs as a
process of its own (`python -m sim.site.broker FILE`), for rumqttd has no way to be stopped but its process's end.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

_SETTINGS = """\
id = 0

[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10

[v5.1]
name = "pneumoflag-demo"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 262144
max_inflight_count = 500
dynamic_filters = true
"""


def write_settings(path: Path, port: int) -> Path:
    """Settings of a broker that listens on the loopback address only."""
    path.write_text(_SETTINGS.format(port=port), encoding="ascii")
    return path


def main() -> None:
    """Serve until the process ends."""
    from iotcore import IotCoreBroker  # noqa: PLC0415 - only this process needs it

    logging.basicConfig(level=logging.WARNING)
    # rumqttd opens an error-level span for each packet.
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    IotCoreBroker(config_path=sys.argv[1]).run_forever()


if __name__ == "__main__":
    main()
