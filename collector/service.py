"""Service: settings come in; a collector that runs until it is stopped goes out."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from sqlalchemy.engine import make_url

from collector.config import CollectorConfig
from collector.ingest.subscriber import Subscriber
from collector.store.database import StoreUnavailable
from collector.store.store import Store
from collector.web.app import make_app
from console import logs
from console.settings import ConfigError
from device.contract import load_site_key

log = logging.getLogger(__name__)
OPEN_TRIES_S = (0.5, 1.0, 2.0, 4.0)


def serve(config: CollectorConfig) -> None:
    """Run until SIGTERM or SIGINT. Raises ConfigError, StoreError or OSError when it cannot start."""
    logs.set_up(config.log_level)
    load_site_key(config.site_key_file)  # checked now, so that a wrong key is not noticed at the first import
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    store = _open_store(config, stop)
    subscriber = Subscriber(config, store)
    with _pages(config, store, subscriber) as address:
        print(_greeting(config, address), flush=True)
        subscriber.start()
        while not stop.is_set():
            subscriber.step(stop)
        subscriber.stop()
    store.close()
    log.info("stopped")


def _open_store(config: CollectorConfig, stop: threading.Event) -> Store:
    """Return the store, migrated. Waits a few seconds for a database that another process has locked."""
    store = Store(config.store.url, busy_s=config.store.busy_s)
    for wait_s in OPEN_TRIES_S:
        try:
            store.migrate()
        except StoreUnavailable as error:
            log.warning("store_unavailable", extra={"error": str(error), "retry_s": wait_s})
            stop.wait(wait_s)
        else:
            return store
    store.migrate()
    return store


def _greeting(config: CollectorConfig, address: str | None) -> str:
    broker = f"{config.broker.host}:{config.broker.port}"
    pages = f"pages at {address}" if address else "no pages"
    return f"pneumoflag-collector: broker {broker}, {pages}. Stop with Ctrl-C."


@contextmanager
def _pages(config: CollectorConfig, store: Store, subscriber: Subscriber) -> Iterator[str | None]:
    """Serve the pages in a thread; yield their address, or None when they are off."""
    if not config.web.enabled:
        yield None
        return
    listener = _listener(config.web.host, config.web.port)
    port = listener.getsockname()[1]
    settings = uvicorn.Config(make_app(config, store, subscriber.counters), log_config=None, lifespan="off")
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="pages", daemon=True)
    thread.start()
    _write_ports(config, port)
    shown = f"[{config.web.host}]" if ":" in config.web.host else config.web.host
    try:
        yield f"http://{shown}:{port}/"
    finally:
        server.should_exit = True
        thread.join(timeout=5)
        listener.close()


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"web: cannot listen on {host}:{port} ({error.strerror}); choose another web.port, or 0 for a free one"
        ) from None
    return listener


def _write_ports(config: CollectorConfig, port: int) -> None:
    """Write `ports.json` beside the SQLite file, for a caller that asked for port 0."""
    url = make_url(config.store.url)
    if url.get_backend_name() == "sqlite" and url.database:
        path = Path(url.database).parent / "ports.json"
        draft = path.with_suffix(".tmp")
        draft.write_text(json.dumps({"web": port, "pid": os.getpid()}), encoding="utf-8")
        draft.replace(path)
