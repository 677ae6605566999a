"""Benchmark: results per second from a box's publish to the receipt after the collector's durable commit.

python tests/bench/bench_collector.py [--results 5000] [--window 2000]

A real mosquitto, the real subscriber, SQLite with WAL and `synchronous=FULL`; group commits of up to 500 against one
commit per result. Such machines are noisy: read the ratio, not the numbers.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from collector.config import BrokerConfig, CollectorConfig, StoreConfig
from collector.ingest.subscriber import Subscriber
from collector.store.store import Store
from device.contract import Receipt
from tests.collector.conftest import Broker, make_result

TOPIC = "pneumoflag/v1/site/box"
BROKER = ("max_inflight_messages 2000", "max_queued_messages 0")


def box(port: int, results: int, window: int, seconds: multiprocessing.Queue[float]) -> None:
    """Publish, never more than `window` without a receipt; report how long until the last receipt."""
    payloads = [make_result(n).to_json() for n in range(1, results + 1)]
    free, done, ready = threading.Semaphore(window), threading.Semaphore(0), threading.Event()

    def receipted(_client: Client, _data: object, message: object) -> None:
        for _ in Receipt.from_json(message.payload).result_ids:  # type: ignore[attr-defined]
            free.release()
            done.release()

    client = Client(CallbackAPIVersion.VERSION2, client_id="bench-box", protocol=MQTTProtocolVersion.MQTTv5)
    client.max_inflight_messages_set(2000)
    client.on_message = receipted
    client.on_connect = lambda c, *_: c.subscribe(f"{TOPIC}/receipt", qos=1)
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    ready.wait(10)
    began = time.perf_counter()
    for payload in payloads:
        free.acquire()
        client.publish(f"{TOPIC}/result", payload, qos=1)
    for _ in payloads:
        done.acquire()
    seconds.put(time.perf_counter() - began)
    client.loop_stop()


def measure(batch: int, results: int, window: int) -> tuple[float, float]:
    """Results per second, and results per commit."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Broker(folder, *BROKER)
        broker.start()
        store = Store(f"sqlite:///{folder}/c.sqlite")
        store.migrate()
        config = CollectorConfig(
            site_key_file=folder / "unused", broker=BrokerConfig(port=broker.port), store=StoreConfig(batch=batch)
        )
        subscriber, stop = Subscriber(config, store), threading.Event()
        subscriber.start()
        while not subscriber.counters.connected:
            time.sleep(0.01)
        time.sleep(0.2)
        seconds: multiprocessing.Queue[float] = multiprocessing.get_context("spawn").Queue()
        sender = multiprocessing.get_context("spawn").Process(target=box, args=(broker.port, results, window, seconds))
        sender.start()
        while seconds.empty():
            subscriber.step(stop, idle_s=0.05)
        sender.join()
        subscriber.stop()
        store.close()
        broker.kill()
        return results / seconds.get(), results / subscriber.counters.commits


def main() -> None:
    """Both ways, on this machine, now."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=int, default=5000)
    parser.add_argument("--window", type=int, default=2000)
    options = parser.parse_args()
    grouped, per_commit = measure(500, options.results, options.window)
    single, _ = measure(1, options.results, options.window)
    print(f"group commit (up to 500): {grouped:8.0f} results/s, {per_commit:.0f} per commit")
    print(f"one commit per result:    {single:8.0f} results/s")
    print(f"ratio:                    {grouped / single:8.1f}")


if __name__ == "__main__":
    main()
