"""Render views as HTML; the template engine escapes every value."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from device.board.formatting import span
from device.board.labels import EVIDENCE
from device.board.live import Page
from device.board.view import BLIND, View

STATIC, TEMPLATES = Path(__file__).with_name("static"), Path(__file__).with_name("templates")
STATIC_FILES = {"board.css": "text/css", "board.js": "text/javascript", "icon.svg": "image/svg+xml"}


def build_id() -> str:
    """Return a digest of the page's files, by which open pages notice an update and reload."""
    digest = hashlib.sha256()
    for path in sorted([*STATIC.iterdir(), *TEMPLATES.iterdir()]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


class Renderer:
    """Renders the two templates: `live.html` is the part that changes, `board.html` the page around it."""

    def __init__(self, *, title: str, model_note: str) -> None:
        self.build = build_id()
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters["mark"] = _mark
        self._environment.globals.update(
            title=title,
            model_note=model_note,
            build=self.build,
            age=lambda time, now: span(now - time),
            evidence=EVIDENCE,
        )

    def live(self, view: View, now: datetime) -> str:
        """Return the HTML of the part that changes: notices, top panel, list and footer."""
        return self._environment.get_template("live.html").render(view=view, now=now)

    def whole(self, page: Page | None, now: datetime) -> str:
        """Return the HTML of the whole page; if `page` is None, it states that flags cannot be read."""
        version, html = (page.version, self.live(page.view, now)) if page else ("", self.live(View(top=BLIND), now))
        return self._environment.get_template("board.html").render(version=version, now=now, live=Markup(html))  # noqa: S704 - rendered with escaping above


def _mark(value: object) -> str:
    """Return a mark by which the page sees whether a part has changed: equal values have equal marks."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:12]
