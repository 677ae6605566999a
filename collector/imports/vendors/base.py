"""Base: a vendor's record comes in; keyed identifiers, raw scores and the call of the site's rule go out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collector.config import Rule, Scale, VendorConfig
from collector.errors import ImportFault
from collector.imports.files import Record
from collector.study.identifiers import FIELDS, Identifiers, identify

SCALES: Mapping[str, float] = {"0-1": 1.0, "0-100": 100.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One vendor's word on one film. `score` is on 0-1; `positive` is None when no finding of the rule has a score."""

    system: str
    vendor: str
    version: str
    identifiers: Identifiers
    positive: bool | None
    score: float | None
    at_least: float | None
    score_scale: str | None
    rule_version: str
    raw_scores: Mapping[str, float]

    def to_row(self, imported_at: str) -> dict[str, Any]:
        """Columns of the store."""
        return {
            "output_id": self.identifiers.key(self.system, self.vendor, self.version),
            "system": self.system,
            "vendor": self.vendor,
            "version": self.version,
            **self.identifiers.to_row(),
            "positive": None if self.positive is None else int(self.positive),
            "score": self.score,
            "at_least": self.at_least,
            "score_scale": self.score_scale,
            "rule_version": self.rule_version,
            "raw_scores": json.dumps(dict(sorted(self.raw_scores.items()))),
            "imported_at": imported_at,
        }


def pick(values: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, or None."""
    found: Any = values
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def number(value: Any, name: str, where: str) -> float | None:
    """A finite number, or None for null and blank text. Raises ImportFault."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise ImportFault(f"{where}: {name}: a number expected; leave it out where there is none")
    return found


def finding_name(text: str) -> str:
    """Names differ in case and joining only."""
    return " ".join(text.lower().replace("_", " ").replace("-", " ").split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapper:
    """What every vendor's import needs. `fields` maps our names to the file's."""

    system: str
    vendor: str
    config: VendorConfig
    key: bytes

    def field(self, name: str) -> str:
        """The file's name of our field."""
        return self.config.fields.get(name, name)

    def value(self, record: Record, name: str) -> Any:
        """The record's value of our field, or None."""
        return pick(record.values, self.field(name))

    def output(self, record: Record, scores: Mapping[str, float | None]) -> Output:
        """The record's output by the first rule for its version. Raises ImportFault."""
        version = str(self.value(record, "version") or "").strip() or "unknown"
        rule = self.rule(version, record.where)
        present = {name: score for name, score in scores.items() if score is not None}
        scale = self.scale(record, rule) if present else None
        full = SCALES[scale] if scale else 1.0
        if any(not 0 <= value <= full for value in present.values()):
            raise ImportFault(f"{record.where}: score: one outside of {scale}; is score_scale right?")
        deciding = [present[name] for name in map(finding_name, rule.findings) if name in present]
        score = max(deciding) / full if deciding else None
        return Output(
            system=self.system,
            vendor=self.vendor,
            version=version,
            identifiers=self.identifiers(record),
            positive=None if score is None else score >= rule.at_least,
            score=score,
            at_least=rule.at_least,
            score_scale=scale,
            rule_version=rule.rule_version,
            raw_scores=present,
        )

    def identifiers(self, record: Record) -> Identifiers:
        """Keyed at once; the raw values end here."""
        return identify({name: self.value(record, name) for name in FIELDS}, self.key, record.where)

    def rule(self, version: str, where: str) -> Rule:
        """The rule for a version. Raises ImportFault with the setting to mend."""
        rule = self.config.rule_for(version)
        if rule is None:
            raise ImportFault(f"{where}: version: no rule's pattern fits it; add one to vendors.{self.vendor}.rules")
        return rule

    def scale(self, record: Record, rule: Rule) -> Scale:
        """The declared scale, or the rule's. Raises ImportFault: a scale is never guessed from the scores."""
        declared = str(self.value(record, "score_scale") or rule.default_scale or "").strip().replace("\u2013", "-")
        if declared == "0-1":
            return "0-1"
        if declared == "0-100":
            return "0-100"
        got = "it is another" if declared else "it is missing"
        raise ImportFault(
            f"{record.where}: score_scale: 0-1 or 0-100 expected, {got}; "
            f"declare it in the file or set default_scale in vendors.{self.vendor}.rules"
        )
