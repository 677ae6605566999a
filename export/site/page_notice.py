"""Notice: the page of a model card and what must be read before it come in; the page with it on top goes out."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

PLACE = "<!-- notice -->"
STYLE = "border: 2px solid #b3261e; border-radius: 8px; padding: .6rem 1.2rem .9rem; margin-bottom: 1.5rem"


def with_notice(page: bytes, title: str, paragraphs: Sequence[str]) -> bytes:
    """Words are escaped; a later notice stands above an earlier one. A page without a place for it stays as it is."""
    lines = Markup("").join(Markup("<p>{}</p>\n").format(words) for words in paragraphs)
    notice = Markup(
        '<section role="note" style="{}"><h2 style="border: 0; margin: 0; padding: 0">{}</h2>\n{}</section>'
    )
    return page.replace(PLACE.encode(), f"{PLACE}\n{notice.format(STYLE, escape(title), lines)}".encode(), 1)
