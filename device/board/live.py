"""Live: facts come in, several times a second; the newest rendered page goes out to every browser that listens.

A browser gets every change, and every two seconds a beat that there was none. Both come from the watcher itself:
when it stops looking, the page hears nothing and covers its flags. Each browser is sent the newest page only, when it
is ready for it, so a slow one holds up nobody.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from device.board.snapshot import Reader, Snapshot
from device.board.view import View, make_view
from device.config import BoardConfig

BEAT_S = 2.0
VIEW_S = 1.0
FRESH_S = 3.0
"""A look older than this is not passed on as life."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A rendered page. `version` differs between any two, across restarts too."""

    version: str
    view: View
    html: str


class Watcher:
    """A thread that looks every `look_s` and hands on each view that differs from the one before."""

    def __init__(
        self, reader: Reader, config: BoardConfig, *, show: Callable[[View, datetime], None], look_s: float = 0.05
    ) -> None:
        self._reader, self._config, self._show, self._look_s = reader, config, show, look_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="board-watcher", daemon=True)
        self._view: View | None = None
        self._facts: Snapshot | None = None
        self._viewed_at = 0.0
        self._looked_at = -FRESH_S

    def step(self) -> bool:
        """Look once. True when something has changed."""
        facts, looked_at = self._reader.read(), time.monotonic()
        # Time alone changes a page too: what was current grows old.
        if facts is self._facts and looked_at - self._viewed_at < VIEW_S:
            changed = False
        else:
            changed = self._look_at(facts)
            self._facts, self._viewed_at = facts, looked_at
        self._looked_at = looked_at
        return changed

    def _look_at(self, facts: Snapshot) -> bool:
        now = datetime.now(UTC)
        view = make_view(facts, now, self._config)
        if view == self._view:
            return False
        self._view = view
        self._show(view, now)
        return True

    @property
    def is_fresh(self) -> bool:
        """Whether the last look is recent enough to speak of now."""
        return time.monotonic() - self._looked_at <= FRESH_S

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self._reader.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.step()
            self._stop.wait(self._look_s)


class Hub:
    """The newest page and everyone who listens. Lives in the event loop; `publish` may be called from any thread."""

    def __init__(self, render: Callable[[View, datetime], str], *, build: str, is_fresh: Callable[[], bool]) -> None:
        self._render, self._build, self.is_fresh = render, build, is_fresh
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._run_id, self._count = secrets.token_hex(4), 0
        self.page: Page | None = None
        self.closed = False

    def join(self, loop: asyncio.AbstractEventLoop) -> None:
        """The loop in which browsers are served."""
        self._loop = loop

    def publish(self, view: View, now: datetime) -> None:
        """Render and hand on."""
        self._count += 1
        self.page = Page(version=f"{self._run_id}-{self._count}", view=view, html=self._render(view, now))
        self._wake()

    def close(self) -> None:
        """End all streams."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ring)

    def _ring(self) -> None:
        rung, self._changed = self._changed, asyncio.Event()
        rung.set()

    async def stream(self) -> AsyncIterator[str]:
        """Server-sent events: `page` with the whole page whenever it has changed, `beat` when it has not."""
        seen = ""
        yield "retry: 1000\n\n"
        while not self.closed:
            changed, page = self._changed, self.page
            if page is not None and self.is_fresh():
                if page.version == seen:
                    yield self._event("beat", page)
                else:
                    seen = page.version
                    yield self._event("page", page, html=page.html)
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), BEAT_S)

    def _event(self, name: str, page: Page, **more: str) -> str:
        now = datetime.now(UTC)
        data = {
            "version": page.version,
            "build": self._build,
            "now": int(now.timestamp() * 1000),
            "clock": f"{now.astimezone():%H:%M:%S}",
            **more,
        }
        return f"event: {name}\ndata: {json.dumps(data)}\n\n"
