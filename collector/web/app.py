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
from collector.errors import StoreError
from collector.ingest.subscriber import Counters
from collector.store import queries
from collector.store.store import Store
from collector.web.page import render

if TYPE_CHECKING:
    from collector.web.comparisons import Compared, Comparisons

SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class _Late:
    """Comparisons from the first look on: what they import takes seconds, and results must not wait for it."""

    def __init__(self, config: CollectorConfig, store: Store) -> None:
        self._make = (config, store)
        self._lock = threading.Lock()
        self._comparisons: Comparisons | None = None

    def get(self) -> Compared:
        """Raises StoreAway."""
        with self._lock:
            if self._comparisons is None:
                from collector.web.comparisons import Comparisons  # see above

                self._comparisons = Comparisons(*self._make)
        return self._comparisons.get()


class Pages:
    """One handler per page. They run in threads, so a long comparison stops nobody."""

    def __init__(self, config: CollectorConfig, store: Store, counters: Counters) -> None:
        self._store = store
        self._counters = counters
        self._compared = _Late(config, store)

    def comparison(self, _: Request) -> Response:
        """Figures, drawings, what was left out."""
        return HTMLResponse(render("comparison.html", nav="comparison", **self._compared.get().parts))

    def boxes(self, _: Request) -> Response:
        """Each box, and the messages refused."""
        found, rejected = queries.all_boxes(self._store), queries.rejections(self._store)
        return HTMLResponse(render("boxes.html", nav="boxes", boxes=found, counters=self._counters, rejected=rejected))

    def results(self, _: Request) -> Response:
        """The latest."""
        rows, flags = queries.latest_results(self._store), queries.flag_counts(self._store)
        return HTMLResponse(render("results.html", nav="results", rows=rows, flags=flags))

    def figures(self, _: Request) -> Response:
        """The same JSON as `compare --json`."""
        return JSONResponse(self._compared.get().figures)

    def healthz(self, _: Request) -> Response:
        """200 while the store answers."""
        self._store.state()
        return JSONResponse({"store": "ok", "broker": "connected" if self._counters.connected else "away"})

    def metrics(self, _: Request) -> Response:
        """Counters as Prometheus reads them."""
        return PlainTextResponse(_metrics(self._counters))


def make_app(config: CollectorConfig, store: Store, counters: Counters) -> Starlette:
    """All pages, each with headers that let nothing in from elsewhere."""
    pages = Pages(config, store, counters)
    paths: dict[str, Callable[[Request], Response]] = {
        "/": pages.comparison,
        "/boxes": pages.boxes,
        "/results": pages.results,
        "/api/comparison.json": pages.figures,
        "/healthz": pages.healthz,
        "/metrics": pages.metrics,
    }
    return Starlette(routes=[Route(path, _shielded(handler)) for path, handler in paths.items()])


def _shielded(handler: Callable[[Request], Response]) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        try:
            response = handler(request)
        except StoreError:
            response = PlainTextResponse("The store is away; try again in a moment.\n", status_code=503)
        response.headers.update(SECURITY)
        return response

    return answer


def _metrics(counters: Counters) -> str:
    values = {
        "pneumoflag_collector_broker_connected": int(counters.connected),
        "pneumoflag_collector_results_stored_total": counters.stored,
        "pneumoflag_collector_results_duplicate_total": counters.duplicates,
        "pneumoflag_collector_messages_rejected_total": counters.rejected,
        "pneumoflag_collector_commits_total": counters.commits,
        "pneumoflag_collector_store_retries_total": counters.store_retries,
    }
    return "".join(f"{name} {value}\n" for name, value in values.items())
