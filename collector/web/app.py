"""App: the store and the subscriber's counters come in; the administrators' pages and their JSON go out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from collector import queries
from collector.config import CollectorConfig
from collector.errors import StoreError
from collector.store import Store
from collector.subscribe import Counters
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


def make_app(config: CollectorConfig, store: Store, counters: Counters) -> Starlette:
    """The pages; handlers run in threads, so a long comparison stops nobody."""
    compared = _Late(config, store)

    def comparison(_: Request) -> Response:
        return HTMLResponse(render("comparison.html", nav="comparison", **compared.get().parts))

    def boxes(_: Request) -> Response:
        found = queries.all_boxes(store)
        return HTMLResponse(
            render("boxes.html", nav="boxes", boxes=found, counters=counters, rejected=queries.rejections(store))
        )

    def results(_: Request) -> Response:
        rows, flags = queries.latest_results(store), queries.flag_counts(store)
        return HTMLResponse(render("results.html", nav="results", rows=rows, flags=flags))

    def figures(_: Request) -> Response:
        return JSONResponse(compared.get().figures)

    def healthz(_: Request) -> Response:
        store.state()
        broker = "connected" if counters.connected else "away"
        return JSONResponse({"store": "ok", "broker": broker})

    def metrics(_: Request) -> Response:
        return PlainTextResponse(_metrics(counters))

    paths: dict[str, Callable[[Request], Response]] = {
        "/": comparison,
        "/boxes": boxes,
        "/results": results,
        "/api/comparison.json": figures,
        "/healthz": healthz,
        "/metrics": metrics,
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
