"""Page: a study, its comparison and the store's tables come in; HTML goes out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from collector import plots, report
from collector.compare import METRICS, Comparison
from collector.study import NOT_FOR, Study

FOLDER = Path(__file__).parent
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
        cell=report.cell,
        p_text=report.p_text,
        names=report.NAMES,
        reasons=report.REASONS,
        signs=FLAG_SIGNS,
        not_for=NOT_FOR,
    )
    environment.filters.update(moment=moment, signed=signed)
    return environment


def moment(text: str | None) -> str:
    """`2026-11-23 06:43:30` from ISO 8601, or a dash; times on the pages are UTC."""
    return "\u2013" if not text else text[:19].replace("T", " ")


def signed(value: float) -> str:
    """`+0.0533` or, with a true minus, `\u22120.0188`."""
    return f"{value:+.4f}".replace("-", "\u2212")


def render(name: str, **values: Any) -> str:
    """A page of `templates/`."""
    return _templates().get_template(name).render(**values)


def comparison_parts(study: Study, comparison: Comparison) -> Mapping[str, Any]:
    """What the comparison template needs; the drawings are the costly part."""
    adjusted = {(x.a, x.b, x.metric): x.p for x in comparison.adjusted()}
    reasons = [name for name in report.REASONS if any(system.excluded.get(name) for system in study.systems)]
    return {
        "study": study,
        "systems": comparison.systems,
        "pairs": comparison.pairs,
        "adjusted": adjusted,
        "metrics": METRICS,
        "left_out": reasons,
        "forest": Markup(plots.forest(comparison)) if comparison.systems else "",  # noqa: S704  # drawn here
        "roc": Markup(plots.roc(comparison)) if comparison.systems else "",  # noqa: S704  # drawn here
    }


def standalone(study: Study, comparison: Comparison) -> str:
    """The comparison as one file that needs neither network nor server."""
    return render("comparison.html", nav=None, **comparison_parts(study, comparison))
