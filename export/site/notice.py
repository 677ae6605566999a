"""Point notice: a new bundle's facts and its table come in; what must be read before its old card goes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from export.site.expected_flags import table_lines
from export.site.page_notice import with_notice

AFTER = (
    "The network is the same. What follows is the card that it came with: its thresholds, and figures at them, hold no "
    "more."
)
Rows = Sequence[Mapping[str, Any]]


def noted_text(card: bytes, facts: Mapping[str, Any], rows: Rows) -> bytes:
    """The card in Markdown, with the notice before it."""
    table = "\n".join(table_lines(rows))
    return f"# {_title(facts)}\n\n{_point(facts)}\n\n{table}\n\n{AFTER}\n\n---\n\n".encode() + card


def noted_page(page: bytes, facts: Mapping[str, Any], rows: Rows) -> bytes:
    """The card as a page, with the notice on top."""
    said = [_flags(rows, label) for label in ("pneumonia", "normal")]
    return with_notice(page, _title(facts), [_point(facts), *said, AFTER])


def _title(facts: Mapping[str, Any]) -> str:
    return f"{facts['name']} version {facts['version']}: a site's own operating point"


def _point(facts: Mapping[str, Any]) -> str:
    point = facts["thresholds"]
    return (
        f"flag_at {point['flag_at']:.4f}, clear_below {point['clear_below']:.4f}; {point['aim']}. Chosen on "
        f"{point['chosen_on']}. These films chose the thresholds, so on new films expect somewhat less."
    )


def _flags(rows: Rows, label: str) -> str:
    mine = [row for row in rows if row["label"] == label]
    counts = ", ".join(f"{row['after']} {row['flag']} (before {row['before']})" for row in mine)
    return f"Of {mine[0]['films']} films read as {label}: {counts}."
