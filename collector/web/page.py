"""Page: values come in; HTML goes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from collector import labels

FOLDER = Path(__file__).parent
HEALTH_TEXTS = {
    "spool_depth": "{} to classify",
    "outbox_depth": "{} to deliver",
    "dead_letters": "{} undeliverable",
    "free_disk_mib": "{} MiB free",
    "temperature_c": "{:.0f} °C",
}
MAX_SHOWN = 2**63 - 1
MAX_SHOWN_CHARACTERS = 500
FLAG_SIGNS = {"pneumonia": "\u25b2", "review": "\u25c6", "clear": "\u25cb", "unclassified": "\u2013"}


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),  # noqa: S704  # the project's own file
        p_text=labels.p_text,
        names=labels.NAMES,
        reasons=labels.REASONS,
        signs=FLAG_SIGNS,
        not_for=labels.NOT_FOR,
    )
    environment.filters.update(utc=utc, signed=signed, health=health)
    return environment


def utc(time: datetime | None) -> str:
    """Return `2026-11-23 06:43:30`, or a dash."""
    return "\u2013" if time is None else f"{time:%Y-%m-%d %H:%M:%S}"


def signed(value: float) -> str:
    """Return `+0.0533` or, with a true minus, `\u22120.0188`."""
    return f"{value:+.4f}".replace("-", "\u2212")


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the page shows of a box's health message."""

    alarms: tuple[str, ...]
    facts: tuple[str, ...]


def health(message: Mapping[str, object]) -> Health:
    """Return what the page shows of a health message. A box of another version may send other fields."""
    alarms, model = message.get("alarms"), message.get("model")
    facts = []
    for name, text in HEALTH_TEXTS.items():
        value = message.get(name)
        if isinstance(value, (int, float)) and abs(value) <= MAX_SHOWN:  # NaN is not: it compares false
            facts.append(text.format(value))
    if isinstance(model, dict):
        facts.append(_printable(f"{model.get('name')} v{model.get('version')}"))
    if message.get("clock_trusted") is False:
        facts.append("clock not trusted")
    return Health(
        alarms=tuple(_printable(f"{name}: {text}") for name, text in alarms.items())
        if isinstance(alarms, dict)
        else (),
        facts=tuple(facts),
    )


def _printable(text: str) -> str:
    """Return text without half a surrogate pair, which an earlier version stored and no page could be encoded with."""
    return text[:MAX_SHOWN_CHARACTERS].encode("utf-8", "replace").decode()


def render(name: str, **values: Any) -> str:
    """Return a page of `templates/`."""
    return _templates().get_template(name).render(**values)
