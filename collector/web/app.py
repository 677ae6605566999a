"""App: the store and the subscriber's counters come in; the administrators' pages and their JSON go out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from collector.config import CollectorConfig
from collector.ingest.subscriber import Counters
from collector.store import queries
from collector.store.database import StoreError
from collector.store.store import Store
from collector.web.metrics import CONTENT_TYPE, metrics_text
from collector.web.page import render

if TYPE_CHECKING:
    from collector.web.comparisons import ComparisonPage

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class ComparisonCache:
    """The latest comparison, computed again only when the store has changed, by one thread at a time."""

    def __init__(self, config: CollectorConfig, store: Store) -> None:
        self._settings = config.compare
        self._store = store
        self._lock = threading.Lock()
        self._latest: ComparisonPage | None = None

    def get(self) -> ComparisonPage:
        """Return the comparison of the store as it is. Raises StoreUnavailable."""
        from collector.web.comparisons import compare_store  # takes seconds, which ingest must not wait for

        with self._lock:
            if self._latest is None or self._latest.state != self._store.state():
                self._latest = compare_store(self._store, self._settings)
            return self._latest


class Pages:
    """One handler per page. Starlette runs them in threads, so a long comparison blocks nobody."""

    def __init__(self, config: CollectorConfig, store: Store, counters: Counters) -> None:
        self._store = store
        self._counters = counters
        self._comparison = ComparisonCache(config, store)

    def comparison(self, _: Request) -> Response:
        """Figures, plots, and what was left out."""
        return HTMLResponse(self._comparison.get().render())

    def boxes(self, _: Request) -> Response:
        """Each box, and the rejected messages."""
        boxes, rejected = queries.all_boxes(self._store), queries.rejected(self._store)
        return HTMLResponse(render("boxes.html", nav="boxes", boxes=boxes, counters=self._counters, rejected=rejected))

    def results(self, _: Request) -> Response:
        """The latest results."""
        rows, flags = queries.latest_results(self._store), queries.flag_counts(self._store)
        return HTMLResponse(render("results.html", nav="results", rows=rows, flags=flags))

    def comparison_json(self, _: Request) -> Response:
        """The same JSON as `compare --json`."""
        return JSONResponse(self._comparison.get().figures)

    def healthz(self, _: Request) -> Response:
        """200 while the store answers."""
        self._store.state()
        return JSONResponse({"store": "ok", "broker": "connected" if self._counters.connected else "away"})

    def metrics(self, _: Request) -> Response:
        """Counters in the text format of Prometheus."""
        return Response(metrics_text(self._counters), media_type=CONTENT_TYPE)


def make_app(config: CollectorConfig, store: Store, counters: Counters) -> Starlette:
    """Return the application: all pages, each with headers that keep out what comes from elsewhere."""
    pages = Pages(config, store, counters)
    paths: dict[str, Callable[[Request], Response]] = {
        "/": pages.comparison,
        "/boxes": pages.boxes,
        "/results": pages.results,
        "/api/comparison.json": pages.comparison_json,
        "/healthz": pages.healthz,
        "/metrics": pages.metrics,
    }
    return Starlette(routes=[Route(path, _secured(handler)) for path, handler in paths.items()])


def _secured(handler: Callable[[Request], Response]) -> Callable[[Request], Response]:
    def respond(request: Request) -> Response:
        try:
            response = handler(request)
        except StoreError:
            response = PlainTextResponse("The store is unavailable; try again in a moment.\n", status_code=503)
        response.headers.update(SECURITY_HEADERS)
        return response

    return respond
