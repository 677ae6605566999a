"""App: the store and the subscriber's counters come in; the administrators' pages and their JSON go out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from collector import queries
from collector.config import CollectorConfig
from collector.store import Store, StoreError
from collector.studies import stored_study
from collector.study import to_json
from collector.subscribe import Counters
from collector.web.page import comparison_parts, render

SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A comparison of one state of the store."""

    state: tuple[Any, ...]
    parts: Mapping[str, Any]
    figures: Mapping[str, Any]


class Comparisons:
    """The latest comparison, made anew only when the store has changed, by one thread at a time."""

    def __init__(self, config: CollectorConfig, store: Store) -> None:
        self._config = config
        self._store = store
        self._lock = threading.Lock()
        self._latest: Compared | None = None

    def get(self) -> Compared:
        """Raises StoreAway."""
        with self._lock:
            state = self._store.state()
            if self._latest is None or self._latest.state != state:
                settings = self._config.compare
                study = stored_study(self._store, settings)
                comparison = study.comparison(resamples=settings.resamples, seed=settings.seed)
                self._latest = Compared(
                    state=state, parts=comparison_parts(study, comparison), figures=to_json(study, comparison)
                )
            return self._latest


def make_app(config: CollectorConfig, store: Store, counters: Counters) -> Starlette:
    """The pages; handlers run in threads, so a long comparison stops nobody."""
    comparisons = Comparisons(config, store)

    def comparison(_: Request) -> Response:
        return HTMLResponse(render("comparison.html", nav="comparison", **comparisons.get().parts))

    def boxes(_: Request) -> Response:
        found = queries.all_boxes(store)
        return HTMLResponse(
            render("boxes.html", nav="boxes", boxes=found, counters=counters, rejected=queries.rejections(store))
        )

    def results(_: Request) -> Response:
        rows, flags = queries.latest_results(store), queries.flag_counts(store)
        return HTMLResponse(render("results.html", nav="results", rows=rows, flags=flags))

    def figures(_: Request) -> Response:
        return JSONResponse(comparisons.get().figures)

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
