"""Serve the flag page from the outbox file and the spool folder."""

from __future__ import annotations

import errno
import os
import socket
import threading
from pathlib import Path

import uvicorn

from console.errors import ExpectedError
from device.board.live import Hub, Watcher
from device.board.pages import make_app
from device.board.render import Renderer
from device.board.snapshot import Reader
from device.config import BoardConfig

MAX_CONNECTIONS = 256


class BoardError(ExpectedError):
    """The page cannot be served; the message names the setting to change."""


class BoardServer:
    """The technologist's page, in threads of its own. `title` names the box; `model_note` stands beside the model."""

    def __init__(
        self, config: BoardConfig, outbox_path: Path, spool_root: Path, *, title: str = "", model_note: str = ""
    ) -> None:
        self._config = config
        self._reader = Reader(outbox_path, spool_root, show=config.show)
        self._renderer = Renderer(title=title, model_note=model_note)
        self._hub = Hub(self._renderer.live, build=self._renderer.build, is_fresh=lambda: self._watcher.is_fresh)
        self._watcher = Watcher(self._reader, config, show=self._hub.publish)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> str:
        """Start to serve, and return the page's address. Raises BoardError if the port cannot be used."""
        listener = _listen(self._config.host, self._config.port)
        self._watcher.step()
        self._watcher.start()
        app = make_app(
            self._hub,
            self._renderer,
            thumbnail=self._reader.thumbnail,
            evidence=self._reader.evidence,
            host_names=self._config.host_names,
        )
        settings = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            lifespan="on",
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="board", daemon=True)
        self._thread.start()
        return _address(listener)

    def stop(self) -> None:
        """End all streams and stop listening."""
        self._hub.close()
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(timeout=5)
        self._watcher.stop()


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(MAX_CONNECTIONS)
    except OSError as error:
        listener.close()
        # Name lookups (gaierror) carry their own numbers and words.
        reason = error.strerror or os.strerror(error.errno or 0)
        what = "is already in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({reason})"
        remedy = "stop what holds it, or set board.port (0 takes a free one) or board.host"
        raise BoardError(f"flag page: port {port} on {host} {what}; {remedy}") from None
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
