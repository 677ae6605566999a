"""From DCMTK's storescu to mosquitto_sub: the time from an exposure's last byte until its result is on the broker.

    python tests/bench/bench_storescu.py --exposures 30

Sends 3072 x 3072, 14-bit DX objects (18.9 MB) one by one to a real box with Debian's mosquitto. Prints milliseconds:
`after release` from the end of the association (storescu has exited), `after last byte` as the box itself reports it.
The box may be done before the sender has released the association: then `after release` is negative.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.box import BoxProcess
from tests.support.bundle_factory import make_bundle
from tests.support.exposures import write_exposure
from tests.support.mosquitto import Mosquitto


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--exposures", type=int, default=20)
    arguments.add_argument("--side", type=int, default=3072)
    arguments.add_argument("--pause-s", type=float, default=0.2)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        run(Path(folder), exposures=options.exposures, side=options.side, pause_s=options.pause_s)


def run(folder: Path, *, exposures: int, side: int, pause_s: float) -> None:
    broker = Mosquitto(folder).start()
    box = BoxProcess(folder, make_bundle(folder), broker_port=broker.port).start()
    received: list[tuple[float, dict[str, object]]] = []
    listener = subprocess.Popen(
        ["mosquitto_sub", "-p", str(broker.port), "-V", "mqttv5", "-q", "1", "-t", "pneumoflag/v1/+/+/result"],
        stdout=subprocess.PIPE,
        text=True,
    )
    threading.Thread(target=_listen, args=(listener, received), daemon=True).start()
    time.sleep(1)
    released: list[float] = []
    try:
        for number in range(exposures):
            path = write_exposure(folder, number, side=side)
            subprocess.run(["storescu", "--max-send-pdu", "131072", "127.0.0.1", str(box.port), str(path)], check=True)
            released.append(time.monotonic())
            path.unlink()
            _wait(received, number + 1)
            time.sleep(pause_s)
    finally:
        listener.kill()
        box.stop()
        broker.close()
    report(received, released)


def _listen(listener: subprocess.Popen[str], received: list[tuple[float, dict[str, object]]]) -> None:
    assert listener.stdout
    seen: set[str] = set()
    for line in listener.stdout:
        now = time.monotonic()
        result = json.loads(line)
        if result["result_id"] not in seen:  # without a collector results are sent again
            seen.add(result["result_id"])
            received.append((now, result))


def _wait(received: list[object], count: int) -> None:
    end_s = time.monotonic() + 30
    while len(received) < count:
        if time.monotonic() > end_s:
            raise TimeoutError(f"result {count} did not come")
        time.sleep(0.001)


def report(received: list[tuple[float, dict[str, object]]], released: list[float]) -> None:
    rows = {"after release": [(at - end) * 1000 for (at, _), end in zip(received, released, strict=True)]}
    for part in ("receive", "decode", "preprocess", "infer", "total"):
        rows[part if part != "total" else "after last byte"] = [result["timing_ms"][part] for _, result in received]
    print(f"{len(released)} exposures; milliseconds")
    for name, values in rows.items():
        ordered = sorted(values)
        worst = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
        print(f"{name:16s} median {statistics.median(ordered):8.1f}   95th {worst:8.1f}   slowest {ordered[-1]:8.1f}")


if __name__ == "__main__":
    main()
