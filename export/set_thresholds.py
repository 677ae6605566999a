"""Reoperate: a bundle and a site's own reads come in; the same network with another operating point goes out, signed.

The network's bytes, its golden answers and its evidence stay; calibration (if asked for), thresholds, figures and the
card's first lines are new, and the version is one higher.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from console.errors import UsageError
from device.bundle.keys import PublicKey
from device.bundle.loader import (
    MANIFEST,
    MODEL,
    SIGNATURE,
    Bundle,
    DigestMismatch,
    load_bundle,
    read_members,
)
from device.bundle.manifest import Manifest
from export.bundle.build_timestamp import now
from export.bundle.writer import SigningKey, metric_fields, signed_parts, write_bundle
from export.site.expected_flags import expected
from export.site.notice import noted_page, noted_text
from export.site.operating_point import Aim, Point, chosen
from export.site.plot import draw_point
from export.site.reads import SiteReads, site_reads
from metrics.evaluation import evaluate

OPERATING_POINT, PICTURE = "operating_point.json", "operating_point.svg"
EVIDENCE = ("parity.json", "evaluation.json")
CARD, PAGE = "model_card.md", "model_card.html"


class PlaceError(UsageError):
    """The new bundle cannot be written there; the words name the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for. `site_key` where reads name films by raw DICOM identifiers."""

    bundle: Path
    results: Path
    reads: Path
    key: SigningKey
    out: Path
    aim: Aim
    site_key: Path | None = None
    trusted: Sequence[PublicKey] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reoperated:
    """What was written, and what the site's reads say of the point before and the new one, as rows of a table."""

    out: Path
    picture: Path
    version: int
    before: Point
    after: Point
    site: SiteReads
    rows: tuple[Mapping[str, Any], ...]


def reoperate(request: Request) -> Reoperated:
    """Raises BundleError, ReadsError, ContractError, AimError, PlaceError; then nothing was written."""
    _check_place(request)
    bundle = load_bundle(request.bundle, [request.key.public, *request.trusted])
    site = _as_answered(
        site_reads(request.results, request.reads, digest=bundle.model.digest, site_key=request.site_key),
        bundle.manifest,
    )
    before = _point(bundle.manifest)
    after = chosen(request.aim, before, site)
    rows = tuple(expected(before, after, site))
    facts = _facts(bundle.manifest, request.aim, after, site)
    members = _with_origin(_members(bundle), bundle.manifest)
    members[OPERATING_POINT] = _json(_record(bundle.manifest, before, after, site, rows))
    members[PICTURE] = draw_point(before, after, site)
    members[CARD] = noted_text(members.get(CARD, b""), facts, rows)
    if PAGE in members:
        members[PAGE] = noted_page(members[PAGE], facts, rows)
    picture = _write(request, signed_parts(facts, members, request.key))
    return Reoperated(
        out=request.out, picture=picture, version=facts["version"], before=before, after=after, site=site, rows=rows
    )


def _check_place(request: Request) -> None:
    """A bundle of before is replaced, nothing else: neither an input nor a folder with something in it."""
    out, remedy = request.out, "name another with --out"
    if any(out.exists() and one.exists() and out.samefile(one) for one in _inputs(request)):
        raise PlaceError(f"{out}: is one of the inputs; {remedy}")
    if out.suffix == ".bundle" and out.is_dir():
        raise PlaceError(f"{out}: is a folder, one file expected for this name; {remedy}")
    if out.suffix != ".bundle" and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise PlaceError(f"{out}: stands already, an empty folder or a name ending in .bundle expected; {remedy}")


def _inputs(request: Request) -> list[Path]:
    return [request.bundle, request.results, request.reads, request.key.public.where]


def _write(request: Request, parts: Mapping[str, bytes]) -> Path:
    """Returns where the picture lies; beside a bundle of one file it stands once more, to be looked at."""
    try:
        write_bundle(request.out, parts)
        if request.out.suffix != ".bundle":
            return request.out / PICTURE
        picture = request.out.with_suffix(f".{PICTURE}")
        picture.write_bytes(parts[PICTURE])
    except OSError as error:
        raise PlaceError(f"{request.out}: cannot be written ({error.strerror}); name another with --out") from None
    return picture


def _as_answered(site: SiteReads, manifest: Manifest) -> SiteReads:
    """Logits as the network answered them: a result's score is rounded, a logit of two outputs has float32's digits.

    Thresholds often are a film's own probability, and the last bit then decides for every film with the same logit.
    """
    if manifest.outputs.kind == "evidence":
        return site
    return replace(site, logits=site.logits.astype(np.float32).astype(np.float64))


def _members(bundle: Bundle) -> dict[str, bytes]:
    """The parts to be signed anew. They are read once more, so they are checked once more."""
    members = {name: content for name, content in read_members(bundle.path) if name not in {MANIFEST, SIGNATURE}}
    if {name: hashlib.sha256(content).hexdigest() for name, content in members.items()} != bundle.manifest.files:
        raise DigestMismatch(f"{bundle.path}: changed while it was read; run again")
    return members


def _with_origin(members: Mapping[str, bytes], old: Manifest) -> dict[str, bytes]:
    """Evidence that was measured with other thresholds says whose they were; the oldest origin stays."""
    point = old.thresholds
    origin = {"version": old.version, "flag_at": point.flag_at, "clear_below": point.clear_below}
    told = {name: json.loads(members[name]) for name in EVIDENCE if name in members}
    return {**members, **{name: _json({"measured_with": origin} | found) for name, found in told.items()}}


def _point(manifest: Manifest) -> Point:
    point = manifest.thresholds
    return Point(calibration=manifest.calibration, flag_at=point.flag_at, clear_below=point.clear_below)


def _facts(old: Manifest, aim: Aim, after: Point, site: SiteReads) -> dict[str, Any]:
    """The manifest's fields: the old ones but what depends on the operating point."""
    kept = old.model_dump(by_alias=True, exclude={"files", "signed_by"})
    thresholds = {
        "flag_at": after.flag_at, "clear_below": after.clear_below, "aim": aim_words(aim),
        "chosen_on": f"{site.words}; version {old.version} had {old.thresholds.flag_at:.4f} and "
        f"{old.thresholds.clear_below:.4f}",
    }  # fmt: skip
    return {
        **kept, "version": old.version + 1, "created": now(), "calibration": after.calibration.model_dump(),
        "thresholds": thresholds, "metrics": _metrics(after, site),
        "measured_on": f"{site.words}, which chose the thresholds too; where no threshold is named, at probability 0.5",
    }  # fmt: skip


def aim_words(aim: Aim) -> str:
    """What was asked for, of both thresholds."""
    sides = (
        ("clear_below", "sensitivity of not being clear", aim.sensitivity, aim.clear_below),
        ("flag_at", "specificity of the flag pneumonia", aim.specificity, aim.flag_at),
    )
    said = [_side_words(*side) for side in sides]
    return "; ".join([*said, *(["probabilities fitted to the same films"] if aim.recalibrate else [])])


def _side_words(name: str, measure: str, share: float | None, given: float | None) -> str:
    if share is not None:
        return f"{name}: {measure} {share:g} at the lower 95 % bound"
    return f"{name}: as before" if given is None else f"{name}: {given:g} as the site set it"


def _metrics(point: Point, site: SiteReads) -> dict[str, Any]:
    """The figures that a new bundle has, of the site's films."""
    probabilities = point.probabilities(site.logits)
    cuts = {"": 0.5, "_at_flag": point.flag_at, "_at_clear": point.clear_below}
    return metric_fields(
        {end: evaluate(site.labels == 1, site.logits, probabilities >= cut).to_dict() for end, cut in cuts.items()}
    )


def _record(
    old: Manifest, before: Point, after: Point, site: SiteReads, rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "from": {"name": old.name, "version": old.version, "network": old.files[MODEL]},
        "before": before.to_dict(), "after": after.to_dict(),
        "films": {"normal": site.count(0), "pneumonia": site.count(1), "left_out": dict(site.left_out)},
        "expected": list(rows),
    }  # fmt: skip


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
