"""Page: values come in; HTML goes out. The comparison's own, costly part is in `comparisons`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from collector import labels

FOLDER = Path(__file__).parent
HEALTH = {
    "spool_depth": "{} to judge",
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
    environment.filters.update(moment=moment, signed=signed, health=health)
    return environment


def moment(text: str | None) -> str:
    """`2026-11-23 06:43:30` from ISO 8601, or a dash; times on the pages are UTC."""
    return "\u2013" if not text else text[:19].replace("T", " ")


def signed(value: float) -> str:
    """`+0.0533` or, with a true minus, `\u22120.0188`."""
    return f"{value:+.4f}".replace("-", "\u2212")


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A box's word on itself, in words."""

    alarms: tuple[str, ...]
    facts: tuple[str, ...]


def health(said: Mapping[str, Any]) -> Health:
    """What the page shows of a health message; a box of another version may say less or more."""
    alarms = said.get("alarms")
    model = said.get("model")
    shown = [(said.get(name), words) for name, words in HEALTH.items()]
    facts = [words.format(value) for value, words in shown if _is_shown(value)]
    if isinstance(model, dict):
        facts.append(_written(f"{model.get('name')} v{model.get('version')}"))
    if said.get("clock_trusted") is False:
        facts.append("clock not trusted")
    return Health(
        alarms=tuple(_written(f"{name}: {text}") for name, text in alarms.items()) if isinstance(alarms, dict) else (),
        facts=tuple(facts),
    )


def _is_shown(value: Any) -> bool:
    """Whether it is a number that every format can write; NaN is not, for it compares false."""
    return isinstance(value, (int, float)) and abs(value) <= MAX_SHOWN


def _written(text: str) -> str:
    """Half a surrogate pair, which a former version stored, would break the whole page."""
    return text[:MAX_SHOWN_CHARACTERS].encode("utf-8", "replace").decode()


def render(name: str, **values: Any) -> str:
    """A page of `templates/`."""
    return _templates().get_template(name).render(**values)
