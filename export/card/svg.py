"""Card SVG: a drawing routine comes in; an SVG to embed in a page, with a text alternative, goes out.

Text stays text in the page's own fonts; nothing is rasterised; the same figures give the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from export.card.elements import Drawing
from metrics.estimates import Estimate

MODEL, BASELINE, THIRD, FOURTH = "#0b6aa8", "#b8500a", "#1a7f5a", "#8a4a9e"
INK, FAINT, GRID, BAND = "#1d2329", "#59636e", "#dde1e4", "#f3e3bd"
FIGURE_SETTINGS: Any = {  # the stubs list every setting by name, which a dictionary cannot satisfy
    "svg.fonttype": "none",
    "font.size": 10.0,
    "font.family": "sans-serif",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
}
Draw = Callable[[Figure], None]


def drawing(name: str, draw: Draw, *, size: tuple[float, float], caption: str, alt: str, wide: bool = False) -> Drawing:
    """Draw an SVG. `size` is in inches; `name` keeps the ids of several drawings apart; `alt` is for screen readers."""
    with mpl.rc_context({**FIGURE_SETTINGS, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return Drawing(svg=Markup(_inside(buffer.getvalue(), alt)), caption=caption, wide=wide)  # noqa: S704  drawn here


def plain(axes: Axes) -> Axes:
    """Show a grid and no ticks."""
    axes.grid(visible=True)
    axes.tick_params(length=0)
    return axes


def numbers(estimates: Sequence[Estimate | None], *ends: Literal["value", "low", "high"]) -> list[float]:
    """Return the named ends of the estimates; NaN for an undefined one, which is not drawn."""
    return [float("nan") if estimate is None else getattr(estimate, end) for estimate in estimates for end in ends]


def _inside(text: str, alt: str) -> str:
    """Keep the drawing alone, without its own size and without what only matplotlib reads."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"/>', "", text)
    text = re.sub(r'<g id="[^"]*">', "<g>", text)
    text = re.sub(r"'[^']*Sans[^']*'(, [^;\"]*)?", "system-ui, sans-serif", text)
    text = re.sub(r' (?:d|x|y|transform)="[^"]*"', _rounded, text)
    text = re.sub(r"\n\s+", "\n", text)
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1)


def _rounded(attribute: re.Match[str]) -> str:
    """Round coordinates to a hundredth of a point, finer than any screen."""
    return re.sub(r"(\.\d{2})\d+", r"\1", attribute[0]).replace(" \n", "\n")
