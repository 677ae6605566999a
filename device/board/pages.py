"""The routes of the flag page: the page itself, its events and its pictures. Nothing can be changed through them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from device.board.guard import Guard
from device.board.live import Hub
from device.board.render import STATIC, STATIC_FILES, Renderer

_RESULT_ID = re.compile(r"[0-9a-f]{32}")
Picture = Callable[[str], bytes | None]
"""Returns the JPEG of a result by its id, or None."""
IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}


def make_app(
    hub: Hub,
    renderer: Renderer,
    *,
    thumbnail: Picture,
    evidence: Picture,
    host_names: tuple[str, ...],
) -> Starlette:
    """Return the web application of one box. `thumbnail` and `evidence` look up the JPEGs of a result."""

    def board(_request: Request) -> Response:
        # A page that nobody keeps up to date is not shown.
        page = hub.page if hub.is_fresh() else None
        return HTMLResponse(renderer.whole(page, datetime.now(UTC)), status_code=200 if page else 503)

    async def events(_request: Request) -> Response:
        # A proxy that buffers responses would make an old page look live.
        return StreamingResponse(hub.stream(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        hub.join(asyncio.get_running_loop())
        yield
        hub.close()

    routes = [
        Route("/", board),
        Route("/events", events),
        Route("/image/{result_id}.jpg", _pictures(thumbnail)),
        Route("/evidence/{result_id}.jpg", _pictures(evidence)),
        *(Route(f"/{name}", _asset(name, media_type)) for name, media_type in STATIC_FILES.items()),
    ]
    return Starlette(routes=routes, lifespan=lifespan, middleware=[Middleware(Guard, host_names=host_names)])


def _pictures(picture: Picture) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        result_id = request.path_params["result_id"]
        valid = _RESULT_ID.fullmatch(result_id)
        jpeg = await run_in_threadpool(picture, result_id) if valid else None
        return Response(jpeg, media_type="image/jpeg") if jpeg else Response(status_code=404)

    return answer


def _asset(name: str, media_type: str) -> Callable[[Request], Response]:
    body = (STATIC / name).read_bytes()

    def asset(_request: Request) -> Response:
        return Response(body, media_type=media_type, headers=IMMUTABLE)

    return asset
