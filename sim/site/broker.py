"""An MQTT 5 broker for the demonstration: rumqttd from the `iotcore` wheel, so that nothing need be installed.

It keeps nothing when it ends. Real sites run mosquitto, which reads another format; see firmware_config/mosquitto/.
rumqttd can only be stopped by ending its process, so it has one: `python -m sim.site.broker FILE`.
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
    """Write the settings of a broker that listens on the loopback address only."""
    path.write_text(_SETTINGS.format(port=port), encoding="ascii")
    return path


def main() -> None:
    """Serve until the process is ended."""
    from iotcore import IotCoreBroker  # noqa: PLC0415 - only this process needs it

    logging.basicConfig(level=logging.WARNING)
    # rumqttd logs every packet at the level of errors.
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    IotCoreBroker(config_path=sys.argv[1]).run_forever()


if __name__ == "__main__":
    main()
