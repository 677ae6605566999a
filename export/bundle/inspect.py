"""Inspect: a bundle and the trusted keys come in; what stands in it goes out as lines for a person."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from console.errors import UsageError
from device.bundle.loader import (
    MANIFEST,
    BundleError,
    load_bundle,
    read_members,
    trusted_keys,
)
from device.bundle.manifest import Manifest

CARD, PAGE = "model_card.md", "model_card.html"


class NoCard(UsageError):
    """The bundle carries no card of that form; the words say what would help."""


def card_of(bundle: Path) -> bytes:
    """The model card in Markdown. Raises BundleError, NoCard."""
    return _part(bundle, CARD)


def page_of(bundle: Path) -> bytes:
    """The model card as a page with pictures. Raises BundleError, NoCard."""
    return _part(bundle, PAGE)


def _part(bundle: Path, name: str) -> bytes:
    members = dict(read_members(bundle))
    if name not in members:
        raise NoCard(f"{bundle}: has no {name}; build it anew with `pneumoflag-export build`")
    return members[name]


def inspect(path: Path, trusted: list[Path]) -> Iterator[str]:
    """Lines. Raises BundleError for what is no bundle; a bad signature is said and the rest still shown."""
    members = dict(read_members(path))
    manifest = Manifest.model_validate_json(members[MANIFEST])
    yield f"{manifest.name} version {manifest.version}{'' if manifest.released else ' (a trial, not released)'}"
    yield _signature(path, trusted)
    yield from _manifest(manifest)
    for name, content in sorted(members.items()):
        yield f"  {hashlib.sha256(content).hexdigest()}  {len(content):>9}  {name}"
    yield f"figures on {manifest.measured_on or 'nothing'}"
    for name, metric in manifest.metrics.items():
        interval = "" if metric.low is None else f"  {metric.low:.4f} to {metric.high:.4f}"
        yield f"  {name:<28}{'-' if metric.value is None else f'{metric.value:.4f}'}{interval}  {metric.method}"
    if "audit.json" in members:
        yield from audit_lines(json.loads(members["audit.json"]))
    if "parity.json" in members:
        yield parity_line(json.loads(members["parity.json"]))


def _signature(path: Path, trusted: list[Path]) -> str:
    try:
        bundle = load_bundle(path, trusted_keys(trusted))
    except BundleError as error:
        return f"NOT VERIFIED: {error}"
    return f"signature and digests good, key {bundle.signed_by.key_id} ({bundle.signed_by.where})"


def _manifest(manifest: Manifest) -> Iterator[str]:
    point, training = manifest.thresholds, manifest.training
    yield f"created {manifest.created:%Y-%m-%d}, expires {manifest.expires or 'never'}"
    yield f"ages from {manifest.ages.min_years} to {manifest.ages.max_years or 'any'} years"
    yield f"flag at {point.flag_at:.4f}, clear below {point.clear_below:.4f}; {point.aim}; on {point.chosen_on}"
    yield f"calibration {manifest.calibration.model_dump()}"
    yield f"recipe {training.recipe}, seed {training.seed}, training films {training.data_digest[:16]}…"
    yield f"use: {manifest.intended_use}"


def audit_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The audit as a table."""
    verdict = "passed" if found["passed"] else "FAILED"
    yield f"audit {verdict}: {found['bytes']} bytes, {len(found['operators'])} operators"
    for operator in found["operators"]:
        words = "; ".join(operator["objections"]) or "good"
        yield f"  {operator['name']:<18} v{operator['version']:<3} {', '.join(operator['outputs']):<26} {words}"
    for objection in found["objections"]:
        yield f"  {objection}"


def parity_line(found: Mapping[str, Any]) -> str:
    """int8 against Keras in one line."""
    with_others = found.get("measured_with")
    whose = "" if with_others is None else f"; with the thresholds of version {with_others['version']}"
    return (
        f"parity {'passed' if found['passed'] else 'FAILED'}: {found['label_flips']} of {found['films']} labels flip "
        f"({found['flipped_share']:.2%}), {found['flag_flips']} flags, largest difference of a score "
        f"{found['largest_score_difference']:.4f} ({found['interpreter']}){whose}"
    )
