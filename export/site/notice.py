"""Notice: a new bundle's manifest and expected flags come in; its earlier card, with a notice on top, goes out."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from device.bundle.manifest import ModelDescription
from export.site.expected_flags import ExpectedFlags, table_lines

AFTER = (
    "The network is the same. The card below is the one that it came with: its thresholds, and the figures at them, no "
    "longer apply."
)
PLACE = "<!-- notice -->"
BOX_CSS = "border: 2px solid #b3261e; border-radius: 8px; padding: .6rem 1.2rem .9rem; margin-bottom: 1.5rem"


def text_with_notice(card: bytes, model: ModelDescription, rows: Sequence[ExpectedFlags]) -> bytes:
    """Return the card in Markdown, with the notice above it."""
    table = "\n".join(table_lines(rows))
    return f"# {_title(model)}\n\n{_point(model)}\n\n{table}\n\n{AFTER}\n\n---\n\n".encode() + card


def page_with_notice(page: bytes, model: ModelDescription, rows: Sequence[ExpectedFlags]) -> bytes:
    """Return the card as an HTML page, with the notice on top."""
    flags = []
    for label in ("pneumonia", "normal"):
        of_label = [row for row in rows if row.label == label]
        counts = ", ".join(f"{row.after} {row.flag} (before {row.before})" for row in of_label)
        flags.append(f"Of {of_label[0].images} images read as {label}: {counts}.")
    return with_notice(page, _title(model), [_point(model), *flags, AFTER])


def with_notice(page: bytes, title: str, paragraphs: Sequence[str]) -> bytes:
    """Insert a notice; its text is escaped, and a later one stands above an earlier one.

    A page without a place for it stays as it is.
    """
    lines = Markup("").join(Markup("<p>{}</p>\n").format(text) for text in paragraphs)
    notice = Markup(
        '<section role="note" style="{}"><h2 style="border: 0; margin: 0; padding: 0">{}</h2>\n{}</section>'
    )
    return page.replace(PLACE.encode(), f"{PLACE}\n{notice.format(BOX_CSS, escape(title), lines)}".encode(), 1)


def _title(model: ModelDescription) -> str:
    return f"{model.name} version {model.version}: a site's own operating point"


def _point(model: ModelDescription) -> str:
    point = model.thresholds
    return (
        f"flag_at {point.flag_at:.4f}, clear_below {point.clear_below:.4f}; {point.aim}. Chosen on {point.chosen_on}. "
        "Expect somewhat worse figures on new images, because these images chose the thresholds."
    )
