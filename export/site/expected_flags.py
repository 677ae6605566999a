"""Expected flags: two operating points and a site's images come in; how many get which flag goes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.site.operating_point import Point
from export.site.reads import SiteReads
from metrics.estimates import Estimate
from metrics.intervals import proportion


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedFlags:
    """Of the `images` read as `label`, those with this `flag` before and after, with their share."""

    flag: str
    label: str
    images: int
    before: int
    after: int
    share_before: Estimate | None
    share_after: Estimate | None


def expected_flags(before: Point, after: Point, site: SiteReads) -> tuple[ExpectedFlags, ...]:
    """Return a row for each flag and label."""
    before_masks, after_masks = _flags(before, site), _flags(after, site)
    rows = []
    for flag in ("pneumonia", "review", "clear"):
        for label, is_label in (("normal", site.labels == 0), ("pneumonia", site.labels == 1)):
            images = int(is_label.sum())
            count_before, count_after = (int((masks[flag] & is_label).sum()) for masks in (before_masks, after_masks))
            rows.append(
                ExpectedFlags(
                    flag=flag,
                    label=label,
                    images=images,
                    before=count_before,
                    after=count_after,
                    share_before=proportion(count_before, images),
                    share_after=proportion(count_after, images),
                )
            )
    return tuple(rows)


def _flags(point: Point, site: SiteReads) -> dict[str, NDArray[np.bool_]]:
    probabilities = point.probabilities(site.logits)
    flagged, cleared = probabilities >= point.flag_at, probabilities < point.clear_below
    return {"pneumonia": flagged, "review": ~flagged & ~cleared, "clear": cleared}


def table_lines(rows: Sequence[ExpectedFlags]) -> list[str]:
    """Return a Markdown table."""
    lines = ["| read as | flag | before | after |", "|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: row.label, reverse=True):
        before = f"{row.before} of {row.images}, {_share(row.share_before)}"
        after = f"{row.after} of {row.images}, {_share(row.share_after)}"
        lines.append(f"| {row.label} | {row.flag} | {before} | {after} |")
    return lines


def _share(interval: Estimate | None) -> str:
    if interval is None:
        return "-"
    return f"{interval.value:.1%} ({interval.low:.1%} to {interval.high:.1%})"
