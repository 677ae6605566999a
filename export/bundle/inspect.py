"""Inspect: a bundle and the trusted keys come in; a summary of it, line by line, or its model card goes out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from console.errors import UsageError
from device.bundle.loader import (
    MANIFEST,
    BundleError,
    load_bundle,
    read_members,
    trusted_keys,
)
from device.bundle.manifest import Manifest
from export.bundle.writer import CARD, PAGE
from export.int8.audit import Audit, read_audit
from export.int8.parity import Parity


class NoCard(UsageError):
    """The bundle has no card of that form."""


def card_of(bundle: Path) -> bytes:
    """Return the model card in Markdown. Raises BundleError, NoCard."""
    return _part(bundle, CARD)


def page_of(bundle: Path) -> bytes:
    """Return the model card as an HTML page with pictures. Raises BundleError, NoCard."""
    return _part(bundle, PAGE)


def _part(bundle: Path, name: str) -> bytes:
    members = dict(read_members(bundle))
    if name not in members:
        raise NoCard(f"{bundle}: has no {name}; rebuild it with `pneumoflag-export build`")
    return members[name]


def summary_lines(path: Path, trusted: list[Path]) -> Iterator[str]:
    """Summarize a bundle. A bad signature is reported and the rest still shown. Raises BundleError for other files."""
    members = dict(read_members(path))
    manifest = Manifest.model_validate_json(members[MANIFEST])
    yield f"{manifest.name} version {manifest.version}{'' if manifest.released else ' (a trial, not released)'}"
    try:
        signer = load_bundle(path, trusted_keys(trusted)).signed_by
        yield f"signature and digests good, key {signer.key_id} ({signer.where})"
    except BundleError as error:
        yield f"NOT VERIFIED: {error}"
    yield from _manifest(manifest)
    for name, content in sorted(members.items()):
        yield f"  {hashlib.sha256(content).hexdigest()}  {len(content):>9}  {name}"
    yield f"measured on {manifest.measured_on or 'nothing'}"
    for name, metric in manifest.metrics.items():
        interval = "" if metric.low is None else f"  {metric.low:.4f} to {metric.high:.4f}"
        yield f"  {name:<28}{'-' if metric.value is None else f'{metric.value:.4f}'}{interval}  {metric.method}"
    if "audit.json" in members:
        yield from audit_lines(read_audit(members["audit.json"]))
    if "parity.json" in members:
        parity = json.loads(members["parity.json"])
        origin = parity.get("measured_with")
        yield parity_line(Parity.from_dict(parity), None if origin is None else origin["version"])


def _manifest(manifest: Manifest) -> Iterator[str]:
    point, training = manifest.thresholds, manifest.training
    yield f"created {manifest.created:%Y-%m-%d}, expires {manifest.expires or 'never'}"
    yield f"ages from {manifest.ages.min_years} to {manifest.ages.max_years or 'any'} years"
    yield f"flag at {point.flag_at:.4f}, clear below {point.clear_below:.4f}; {point.aim}; on {point.chosen_on}"
    yield f"calibration {manifest.calibration.model_dump()}"
    yield f"recipe {training.recipe}, seed {training.seed}, training images {training.data_digest[:16]}…"
    yield f"intended use: {manifest.intended_use}"
    if manifest.licence:
        yield f"licence of the weights: {manifest.licence}"


def audit_lines(audit: Audit) -> Iterator[str]:
    """Yield the audit as a table."""
    yield f"audit {'passed' if audit.passed else 'FAILED'}: {audit.bytes} bytes, {len(audit.operators)} operators"
    for operator in audit.operators:
        objections = "; ".join(operator.objections) or "good"
        yield f"  {operator.name:<18} v{operator.version:<3} {', '.join(operator.outputs):<26} {objections}"
    for objection in audit.objections:
        yield f"  {objection}"


def parity_line(parity: Parity, measured_with: int | None = None) -> str:
    """Summarize int8 against Keras. `measured_with` is the version whose thresholds were in force, if another's."""
    thresholds = "" if measured_with is None else f"; with the thresholds of version {measured_with}"
    return (
        f"parity {'passed' if parity.passed else 'FAILED'}: {parity.label_flips} of {parity.images} labels flip "
        f"({parity.flipped_share:.2%}), {parity.flag_flips} flags flip, largest difference of a score "
        f"{parity.largest_score_difference:.4f} ({parity.interpreter}){thresholds}"
    )
