"""Base: a vendor's record comes in; the call of the site's rule, with keyed identifiers and raw scores, goes out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from collector.config import Scale, VendorConfig, VendorRule
from collector.imports.files import ImportFault, Record
from collector.imports.identifiers import FIELDS, keyed_identifiers
from collector.store.rows import VendorOutput

SCALES: Mapping[str, float] = {"0-1": 1.0, "0-100": 100.0}


def number(value: object, name: str, where: str) -> float | None:
    """Return a finite number, or None for null and blank text. Raises ImportFault."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        parsed = float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        parsed = math.nan
    if not math.isfinite(parsed):
        raise ImportFault(f"{where}: {name}: expected a number; leave it out where there is none")
    return parsed


def finding_name(text: str) -> str:
    """Return the name in lower case, with `_` and `-` as spaces."""
    return " ".join(text.lower().replace("_", " ").replace("-", " ").split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The call of a rule on a record. `score` is on 0-1; `positive` is None when no finding of the rule has one."""

    positive: bool | None
    score: float | None
    at_least: float | None
    score_scale: Scale | None
    rule_version: str
    raw_scores: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapper:
    """The settings of one import. `config.fields` maps our field names to the file's."""

    system: str
    vendor: str
    config: VendorConfig
    key: bytes
    imported_at: datetime

    def field(self, name: str) -> str:
        """Return the file's name of our field."""
        return self.config.fields.get(name, name)

    def value(self, record: Record, name: str) -> object:
        """Return the record's value of our field, or None. A dotted path goes into nested objects."""
        value: object = record.values
        for part in self.field(name).split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def version(self, record: Record) -> str:
        """Return the vendor's version, or `unknown`."""
        return str(self.value(record, "version") or "").strip() or "unknown"

    def call(self, record: Record, scores: Mapping[str, float | None]) -> Call:
        """Return the call of the first rule for the record's version on its scores by finding. Raises ImportFault."""
        rule = self.rule(record)
        present = {name: score for name, score in sorted(scores.items()) if score is not None}
        scale = self.scale(record, rule) if present else None
        full = SCALES[scale] if scale else 1.0
        if any(not 0 <= value <= full for value in present.values()):
            raise ImportFault(f"{record.where}: score: one outside of {scale}; is score_scale right?")
        deciding = [present[name] for name in map(finding_name, rule.findings) if name in present]
        score = max(deciding) / full if deciding else None
        return Call(
            positive=None if score is None else score >= rule.at_least,
            score=score,
            at_least=rule.at_least,
            score_scale=scale,
            rule_version=rule.rule_version,
            raw_scores=present,
        )

    def output(self, record: Record, call: Call) -> VendorOutput:
        """Return the row of a record. Raises ImportFault for its identifiers, which are keyed here."""
        keyed = keyed_identifiers({name: self.value(record, name) for name in FIELDS}, self.key, record.where)
        version = self.version(record)
        return VendorOutput(
            output_id=keyed.record_id(self.system, self.vendor, version),
            system=self.system,
            vendor=self.vendor,
            version=version,
            exposure_id=keyed.exposure_id,
            study_id=keyed.study_id,
            accession_id=keyed.accession_id,
            patient_id=keyed.patient_id,
            positive=call.positive,
            score=call.score,
            at_least=call.at_least,
            score_scale=call.score_scale,
            rule_version=call.rule_version,
            raw_scores=call.raw_scores,
            imported_at=self.imported_at,
        )

    def rule(self, record: Record) -> VendorRule:
        """Return the rule for the record's version. Raises ImportFault with the setting to fix."""
        rule = self.config.rule_for(self.version(record))
        if rule is None:
            raise ImportFault(
                f"{record.where}: version: no rule's pattern matches it; add one to vendors.{self.vendor}.rules"
            )
        return rule

    def scale(self, record: Record, rule: VendorRule) -> Scale:
        """Return the declared scale, or the rule's. Raises ImportFault: a scale is never guessed from the scores."""
        declared = str(self.value(record, "score_scale") or rule.default_scale or "").strip().replace("\u2013", "-")
        if declared == "0-1":
            return "0-1"
        if declared == "0-100":
            return "0-100"
        got = "another" if declared else "nothing"
        raise ImportFault(
            f"{record.where}: score_scale: expected 0-1 or 0-100, got {got}; "
            f"declare it in the file or set default_scale in vendors.{self.vendor}.rules"
        )
