"""Set thresholds: a bundle and a site's reads come in; the same network with other thresholds goes out, signed.

The network, its golden outputs and the evidence of its build stay. The calibration (on request), thresholds, metrics
and the first lines of the card are new, and the version is one higher.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

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
from device.bundle.manifest import Manifest, OperatingPoint
from export.bundle.writer import CARD, PAGE, SigningKey, build_timestamp, json_file, signed_parts, write_bundle
from export.evaluation.manifest_metrics import metrics_at_thresholds
from export.site.expected_flags import ExpectedFlags, expected_flags
from export.site.notice import page_with_notice, text_with_notice
from export.site.operating_point import Aim, Point, choose_point
from export.site.plot import draw_point
from export.site.reads import SiteReads, site_reads

OPERATING_POINT, PICTURE = "operating_point.json", "operating_point.svg"
EVIDENCE = ("parity.json", "evaluation.json")


class PlaceError(UsageError):
    """The new bundle cannot be written there; the message names the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdsRequest:
    """What to set. `site_key` is needed where reads name images by raw DICOM identifiers."""

    bundle: Path
    results: Path
    reads: Path
    key: SigningKey
    out: Path
    aim: Aim
    site_key: Path | None = None
    trusted: Sequence[PublicKey] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdsSet:
    """What was written, and which flags the site's images get at the previous and the new point."""

    out: Path
    picture: Path
    version: int
    before: Point
    after: Point
    site: SiteReads
    rows: tuple[ExpectedFlags, ...]


def set_thresholds(request: ThresholdsRequest) -> ThresholdsSet:
    """Choose thresholds on the site's reads and write the new bundle.

    Raises BundleError, ReadsError, ContractError, AimError, PlaceError; then nothing was written.
    """
    _check_place(request)
    bundle = load_bundle(request.bundle, [request.key.public, *request.trusted])
    site = site_reads(request.results, request.reads, digest=bundle.model.digest, site_key=request.site_key)
    site = _exact_logits(site, bundle.manifest)
    point = bundle.manifest.thresholds
    before = Point(calibration=bundle.manifest.calibration, flag_at=point.flag_at, clear_below=point.clear_below)
    after = choose_point(request.aim, before, site)
    rows = expected_flags(before, after, site)
    manifest = _manifest(bundle.manifest, request.aim, after, site)
    members = _with_origin(_members(bundle), bundle.manifest)
    members[OPERATING_POINT] = _operating_point_file(bundle.manifest, before, after, site, rows)
    members[PICTURE] = draw_point(before, after, site)
    members[CARD] = text_with_notice(members.get(CARD, b""), manifest, rows)
    if PAGE in members:
        members[PAGE] = page_with_notice(members[PAGE], manifest, rows)
    picture = _write(request, signed_parts(manifest, members, request.key))
    return ThresholdsSet(
        out=request.out, picture=picture, version=manifest.version, before=before, after=after, site=site, rows=rows
    )


def _check_place(request: ThresholdsRequest) -> None:
    """Only a previous bundle of one file may be replaced: neither an input nor a folder with files in it."""
    out, remedy = request.out, "name another with --out"
    inputs = (request.bundle, request.results, request.reads, request.key.public.where)
    if any(out.exists() and path.exists() and out.samefile(path) for path in inputs):
        raise PlaceError(f"{out}: is one of the inputs; {remedy}")
    if out.suffix == ".bundle" and out.is_dir():
        raise PlaceError(f"{out}: is a folder; expected a file for a name ending in .bundle; {remedy}")
    if out.suffix != ".bundle" and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise PlaceError(f"{out}: exists already; expected an empty folder or a name ending in .bundle; {remedy}")


def _write(request: ThresholdsRequest, parts: Mapping[str, bytes]) -> Path:
    """Write the bundle; return where the picture is. Beside a bundle of one file it is written once more."""
    try:
        write_bundle(request.out, parts)
        if request.out.suffix != ".bundle":
            return request.out / PICTURE
        picture = request.out.with_suffix(f".{PICTURE}")
        picture.write_bytes(parts[PICTURE])
    except OSError as error:
        raise PlaceError(f"{request.out}: cannot be written ({error.strerror}); name another with --out") from None
    return picture


def _exact_logits(site: SiteReads, manifest: Manifest) -> SiteReads:
    """Return the logits as the network gave them: a result's score is rounded, the logit of two outputs is float32.

    A threshold is often an image's own probability; the last bit then decides for every image with the same logit.
    """
    if manifest.outputs.kind == "evidence":
        return site
    return replace(site, logits=site.logits.astype(np.float32).astype(np.float64))


def _members(bundle: Bundle) -> dict[str, bytes]:
    """Return the parts to be signed again. They are read again, so they are checked again."""
    members = {name: content for name, content in read_members(bundle.path) if name not in {MANIFEST, SIGNATURE}}
    if {name: hashlib.sha256(content).hexdigest() for name, content in members.items()} != bundle.manifest.files:
        raise DigestMismatch(f"{bundle.path}: changed while it was read; run again")
    return members


def _with_origin(members: Mapping[str, bytes], old: Manifest) -> dict[str, bytes]:
    """State with which version's thresholds the evidence was measured; the earliest origin stays."""
    point = old.thresholds
    origin = {"version": old.version, "flag_at": point.flag_at, "clear_below": point.clear_below}
    evidence = {name: json.loads(members[name]) for name in EVIDENCE if name in members}
    return {**members, **{name: json_file({"measured_with": origin} | report) for name, report in evidence.items()}}


def _manifest(old: Manifest, aim: Aim, after: Point, site: SiteReads) -> Manifest:
    """Return the old manifest with new values for what depends on the thresholds."""
    previous = f"version {old.version} had {old.thresholds.flag_at:.4f} and {old.thresholds.clear_below:.4f}"
    probabilities = after.probabilities(site.logits)
    thresholds = {"": 0.5, "_at_flag": after.flag_at, "_at_clear": after.clear_below}
    decisions = {suffix: probabilities >= threshold for suffix, threshold in thresholds.items()}
    return old.model_copy(
        update={
            "version": old.version + 1,
            "created": build_timestamp(),
            "calibration": after.calibration,
            "thresholds": OperatingPoint(
                flag_at=after.flag_at,
                clear_below=after.clear_below,
                aim=aim_text(aim),
                chosen_on=f"{site.description}; {previous}",
            ),
            "metrics": metrics_at_thresholds(site.labels == 1, site.logits, decisions),
            "measured_on": f"{site.description}, which also chose the thresholds; metrics without a threshold are at "
            "probability 0.5",
        }
    )


def aim_text(aim: Aim) -> str:
    """Describe what was required of both thresholds."""
    texts = []
    for name, measure, share, given in (
        ("clear_below", "sensitivity of not being clear", aim.sensitivity, aim.clear_below),
        ("flag_at", "specificity of the flag pneumonia", aim.specificity, aim.flag_at),
    ):
        if share is not None:
            texts.append(f"{name}: {measure} {share:g} at the lower 95 % bound")
        else:
            texts.append(f"{name}: as before" if given is None else f"{name}: {given:g} as the site set it")
    return "; ".join([*texts, *(["probabilities fitted to the same images"] if aim.recalibrate else [])])


def _operating_point_file(
    old: Manifest, before: Point, after: Point, site: SiteReads, rows: Sequence[ExpectedFlags]
) -> bytes:
    return json_file(
        {
            "from": {"name": old.name, "version": old.version, "network": old.files[MODEL]},
            "before": before.to_dict(),
            "after": after.to_dict(),
            "images": {"normal": site.count(0), "pneumonia": site.count(1), "left_out": dict(site.left_out)},
            "expected": [asdict(row) for row in rows],
        }
    )
