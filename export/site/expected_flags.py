"""Point table: two operating points and a site's films come in; who would get which flag goes out, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.site.operating_point import Point
from export.site.reads import SiteReads
from metrics.intervals import proportion


def expected(before: Point, after: Point, site: SiteReads) -> list[dict[str, Any]]:
    """Rows: what, and with the point before and after the films and their share with its interval."""
    rows: list[dict[str, Any]] = []
    masks = [_flags(point, site) for point in (before, after)]
    labels = {"normal": site.labels == 0, "pneumonia": site.labels == 1}
    for flag in ("pneumonia", "review", "clear"):
        for label, is_label in labels.items():
            counts = [int((mask[flag] & is_label).sum()) for mask in masks]
            shares = [proportion(count, int(is_label.sum())) for count in counts]
            rows.append(
                {
                    "flag": flag, "label": label, "films": int(is_label.sum()), "before": counts[0], "after": counts[1],
                    "share_before": shares[0] and shares[0].to_dict(), "share_after": shares[1] and shares[1].to_dict(),
                }
            )  # fmt: skip
    return rows


def _flags(point: Point, site: SiteReads) -> dict[str, NDArray[np.bool_]]:
    probabilities = point.probabilities(site.logits)
    flagged, cleared = probabilities >= point.flag_at, probabilities < point.clear_below
    return {"pneumonia": flagged, "review": ~flagged & ~cleared, "clear": cleared}


def table_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Markdown."""
    lines = ["| read as | flag | before | after |", "|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: row["label"], reverse=True):
        cells = [f"{row[side]} of {row['films']}, {_share(row[f'share_{side}'])}" for side in ("before", "after")]
        lines.append(f"| {row['label']} | {row['flag']} | {' | '.join(cells)} |")
    return lines


def _share(found: Mapping[str, float]) -> str:
    return f"{found['value']:.1%} ({found['low']:.1%} to {found['high']:.1%})"
