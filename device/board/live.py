"""Watch the box's files, and stream the newest page to every connected browser.

A browser receives every change, and every two seconds a beat if there was none. Both depend on the watcher: when it
stops, the page receives nothing and covers its flags. Each browser is sent only the newest page, once it is ready for
it, so that a slow browser holds up nobody.
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
"""After so long without a snapshot the box sends no sign of life."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A rendered page. `version` differs between any two, across restarts too."""

    version: str
    view: View
    html: str


class Watcher:
    """A thread that takes a snapshot every `period_s` and passes on each view that differs from the previous one."""

    def __init__(
        self, reader: Reader, config: BoardConfig, *, show: Callable[[View, datetime], None], period_s: float = 0.05
    ) -> None:
        self._reader, self._config, self._show, self._period_s = reader, config, show, period_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="board-watcher", daemon=True)
        self._view: View | None = None
        self._snapshot: Snapshot | None = None
        self._updated_at = 0.0
        self._read_at = -FRESH_S

    def step(self) -> bool:
        """Take one snapshot; return whether the view has changed."""
        snapshot, read_at = self._reader.read(), time.monotonic()
        # Time alone changes a page too: what was current grows old.
        if snapshot is self._snapshot and read_at - self._updated_at < VIEW_S:
            changed = False
        else:
            changed = self._update(snapshot)
            self._snapshot, self._updated_at = snapshot, read_at
        self._read_at = read_at
        return changed

    def _update(self, snapshot: Snapshot) -> bool:
        now = datetime.now(UTC)
        view = make_view(snapshot, now, self._config)
        if view == self._view:
            return False
        self._view = view
        self._show(view, now)
        return True

    @property
    def is_fresh(self) -> bool:
        """Whether the last snapshot is recent enough to be shown as current."""
        return time.monotonic() - self._read_at <= FRESH_S

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and close the files."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self._reader.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.step()
            self._stop.wait(self._period_s)


class Hub:
    """The newest page and the browsers that receive it. `publish` may be called from any thread."""

    def __init__(self, render: Callable[[View, datetime], str], *, build: str, is_fresh: Callable[[], bool]) -> None:
        self._render, self._build, self.is_fresh = render, build, is_fresh
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._run_id, self._count = secrets.token_hex(4), 0
        self.page: Page | None = None
        self.closed = False

    def join(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the event loop in which browsers are served."""
        self._loop = loop

    def publish(self, view: View, now: datetime) -> None:
        """Render a view and send it to every browser."""
        self._count += 1
        self.page = Page(version=f"{self._run_id}-{self._count}", view=view, html=self._render(view, now))
        self._wake()

    def close(self) -> None:
        """End all streams."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._notify_streams)

    def _notify_streams(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def stream(self) -> AsyncIterator[str]:
        """Yield server-sent events: `page` with the whole page after a change, `beat` otherwise."""
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
