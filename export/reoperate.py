"""Reoperate: a bundle and a site's own reads come in; the same network with another operating point goes out, signed.

The network's bytes, its golden answers and its evidence stay; calibration (if asked for), thresholds, figures and the
card's first lines are new, and the version is one higher.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.bundle import MANIFEST, MODEL, SIGNATURE, load_bundle, read_members
from device.keys import PublicKey
from device.manifest import Manifest
from export.bundle import SigningKey, signed_parts, write_bundle
from export.facts import now
from export.site_reads import SiteReads, site_reads
from train.calibrate import apply_calibration, fit_calibration
from train.evaluate import MEASURES, evaluate
from train.intervals import Z95, Interval, wilson

OPERATING_POINT = "operating_point.json"
CARD = "model_card.md"
Floats = NDArray[np.float64]


class AimError(Exception):
    """The operating point that was asked for cannot be had; the words say what would do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What is asked of the new operating point: shares to be reached at the lower 95 % bound, or thresholds as given.

    `sensitivity` of not being `clear` sets clear_below; `specificity` of the flag `pneumonia` sets flag_at.
    """

    sensitivity: float | None = None
    specificity: float | None = None
    flag_at: float | None = None
    clear_below: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A calibration with its thresholds, as the manifest names them."""

    calibration: Mapping[str, Any]
    flag_at: float
    clear_below: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reoperated:
    """What was written, and what the site's reads say of the point before and the new one, as rows of a table."""

    out: Path
    version: int
    before: Point
    after: Point
    site: SiteReads
    rows: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for. `recalibrate`: probabilities are fitted anew, too (Platt), and then mean this site's mix."""

    bundle: Path
    results: Path
    reads: Path
    key: SigningKey
    out: Path
    aim: Aim
    recalibrate: bool = False
    trusted: Sequence[PublicKey] = ()


def reoperate(request: Request) -> Reoperated:
    """Raises BundleError, ReadsError, AimError; then nothing was written."""
    bundle = load_bundle(request.bundle, [request.key.public, *request.trusted])
    site = site_reads(request.results, request.reads, digest=bundle.model.digest)
    before = _point(bundle.manifest)
    calibration = (
        fit_calibration("platt", site.logits, site.labels, None) if request.recalibrate else before.calibration
    )
    after = chosen(request.aim, calibration, before, site)
    rows = tuple(expected(before, after, site))
    facts = _facts(bundle.manifest, request, after, site)
    members = {name: content for name, content in read_members(request.bundle) if name not in {MANIFEST, SIGNATURE}}
    table = "\n".join(table_lines(rows))
    members[OPERATING_POINT] = _json(_record(bundle.manifest, before, after, site, rows))
    if CARD in members:
        members[CARD] = _notice(facts, table).encode() + members[CARD]
    write_bundle(request.out, signed_parts(facts, members, request.key))
    return Reoperated(out=request.out, version=facts["version"], before=before, after=after, site=site, rows=rows)


def _point(manifest: Manifest) -> Point:
    point = manifest.thresholds
    return Point(calibration=manifest.calibration.model_dump(), flag_at=point.flag_at, clear_below=point.clear_below)


def chosen(aim: Aim, calibration: Mapping[str, Any], before: Point, site: SiteReads) -> Point:
    """The new point. A threshold that nothing was asked of keeps the probability it had. Raises AimError."""
    probabilities = apply_calibration(calibration, site.logits)
    healthy, diseased = (np.sort(probabilities[site.labels == label]) for label in (0, 1))
    clear_below = before.clear_below if aim.clear_below is None else aim.clear_below
    flag_at = before.flag_at if aim.flag_at is None else aim.flag_at
    if aim.sensitivity is not None:
        clear_below = float(diseased[_may_miss(len(diseased), aim.sensitivity, "pneumonia", "sensitivity")])
        flag_at = max(flag_at, clear_below) if aim.specificity is None else flag_at
    if aim.specificity is not None:
        missed = _may_miss(len(healthy), aim.specificity, "normal", "specificity")
        flag_at = max(float(min(np.nextafter(healthy[len(healthy) - 1 - missed], 2.0), 1.0)), clear_below)
    if not 0 <= clear_below <= flag_at <= 1:
        raise AimError(f"clear_below {clear_below:g} and flag_at {flag_at:g}: 0 to 1 in this order expected")
    return Point(calibration=calibration, flag_at=flag_at, clear_below=clear_below)


def _may_miss(count: int, share: float, label: str, measure: str) -> int:
    """How many of `count` films may be missed with the lower bound still at `share`. Raises AimError."""
    if not 0 < share < 1:
        raise AimError(f"{measure} {share:g}: a share between 0 and 1 expected")
    if _bound(count, count) < share:
        raise AimError(
            f"{count} {label} films with a read are too few to show a {measure} of {share:g} at the lower 95 % bound: "
            f"{needed(share)} would do if none were missed; add reads, or aim at {_bound(count, count):.2f}"
        )
    missed = 0
    while missed + 1 < count and _bound(count - missed - 1, count) >= share:
        missed += 1
    return missed


def needed(share: float) -> int:
    """Films of which none is missed that Wilson's lower bound n / (n + z²) needs to reach `share`."""
    return math.ceil(Z95**2 * share / (1 - share))


def _bound(successes: int, trials: int) -> float:
    return wilson(successes, trials).low or 0.0


def expected(before: Point, after: Point, site: SiteReads) -> list[dict[str, Any]]:
    """Rows: what, and with the point before and after the films and their share with its interval."""
    rows: list[dict[str, Any]] = []
    masks = [_flags(point, site) for point in (before, after)]
    labels = {"normal": site.labels == 0, "pneumonia": site.labels == 1}
    for flag in ("pneumonia", "review", "clear"):
        for label, is_label in labels.items():
            counts = [int((mask[flag] & is_label).sum()) for mask in masks]
            shares = [asdict(wilson(count, int(is_label.sum()))) for count in counts]
            rows.append(
                {
                    "flag": flag, "label": label, "films": int(is_label.sum()), "before": counts[0], "after": counts[1],
                    "share_before": shares[0], "share_after": shares[1],
                }
            )  # fmt: skip
    return rows


def _flags(point: Point, site: SiteReads) -> dict[str, NDArray[np.bool_]]:
    probabilities = apply_calibration(point.calibration, site.logits)
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


def _facts(old: Manifest, request: Request, after: Point, site: SiteReads) -> dict[str, Any]:
    """The manifest's fields: the old ones but what depends on the operating point."""
    kept = old.model_dump(by_alias=True, exclude={"files", "signed_by"})
    thresholds = {
        "flag_at": after.flag_at, "clear_below": after.clear_below, "aim": _aim_words(request.aim),
        "chosen_on": f"{site.words}; version {old.version} had {old.thresholds.flag_at:.4f} and "
        f"{old.thresholds.clear_below:.4f}",
    }  # fmt: skip
    return {
        **kept, "version": old.version + 1, "created": now(), "calibration": after.calibration,
        "thresholds": thresholds, "metrics": _metrics(after, site),
        "measured_on": f"{site.words}, which chose the thresholds too",
    }  # fmt: skip


def _aim_words(aim: Aim) -> str:
    asked = [
        f"{name} {value:g} at the lower 95 % bound"
        for name, value in (
            ("clear_below: sensitivity of not being clear", aim.sensitivity),
            ("flag_at: specificity of the flag pneumonia", aim.specificity),
        )
        if value is not None
    ]
    given = [
        f"{name} {value:g} as the site set it"
        for name, value in (("flag_at", aim.flag_at), ("clear_below", aim.clear_below))
        if value is not None
    ]
    return "; ".join([*asked, *given])


def _metrics(point: Point, site: SiteReads) -> dict[str, Any]:
    """The figures that a new bundle has, of the site's films; each film stands for itself."""
    probabilities = apply_calibration(point.calibration, site.logits)
    cuts = {"": 0.5, "_at_flag": point.flag_at, "_at_clear": point.clear_below}
    films = [str(index) for index in range(len(site.labels))]
    found: dict[str, Any] = {}
    for end, cut in cuts.items():
        measured = evaluate(site.labels, site.logits, probabilities >= cut, films)
        shown = {name: getattr(measured, name) for name in MEASURES if not (end and name == "roc_auc")}
        found |= {f"{name}{end}": _plain(interval) for name, interval in shown.items()}
    return found


def _plain(interval: Interval) -> dict[str, Any]:
    return asdict(interval)


def _record(
    old: Manifest, before: Point, after: Point, site: SiteReads, rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "from": {"name": old.name, "version": old.version, "network": old.files[MODEL]},
        "before": asdict(before), "after": asdict(after),
        "films": {"normal": site.count(0), "pneumonia": site.count(1), "left_out": dict(site.left_out)},
        "expected": list(rows),
    }  # fmt: skip


def _notice(facts: Mapping[str, Any], table: str) -> str:
    """Stands before the card of the bundle that it was made from."""
    point = facts["thresholds"]
    return (
        f"# {facts['name']} version {facts['version']}: a site's own operating point\n\n"
        f"`flag_at` {point['flag_at']:.4f}, `clear_below` {point['clear_below']:.4f}; {point['aim']}. Chosen on "
        f"{point['chosen_on']}. The films below chose the thresholds, so on new films expect somewhat less.\n\n"
        f"{table}\n\nThe network is the same. What follows is the card that it came with: its thresholds, and figures "
        "at them, hold no more.\n\n---\n\n"
    )


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
