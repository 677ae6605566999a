"""Counting rules: settings and stored rows come in; how calls were made, in sentences, and subgroups go out."""

from __future__ import annotations

from collections.abc import Sequence

from collector.compare import Reference
from collector.config import CompareConfig
from collector.store.rows import StudyResult, VendorOutput
from collector.study.matching import ExposureIndex

REVIEW_AT = 0.5
AGE_STEPS = (20, 40, 60, 80)
UNKNOWN = "unknown"
REVIEW_RULES = {
    "probability": f"counted as pneumonia from probability {REVIEW_AT}, as normal below",
    "pneumonia": "counted as pneumonia",
    "normal": "counted as normal",
}
UNCLASSIFIED_RULES = {
    "exclude": "left out of the figures, and listed",
    "wrong": "counted as errors (then without ROC AUC and Brier score: there is no score to rank)",
}


def counting(config: CompareConfig, results: Sequence[StudyResult], outputs: Sequence[VendorOutput]) -> dict[str, str]:
    """Return how flags became calls, the models of the boxes, and each vendor's version, rule and threshold."""
    rules = {
        "review flags": REVIEW_RULES[config.review],
        "unclassified exposures": UNCLASSIFIED_RULES[config.unclassified],
    }
    models = sorted({(row.model_name, row.model_version, row.model_digest[:12]) for row in results})
    if models:
        rules["model of the boxes"] = "; ".join(f"{name} v{version} ({digest})" for name, version, digest in models)
    called = [row for row in outputs if row.positive is not None]
    for system in sorted({row.system for row in called}):
        rules[f"{system} calls"] = "; ".join(sorted({_rule(row) for row in called if row.system == system}))
    return rules


def _rule(output: VendorOutput) -> str:
    if output.at_least is None:
        return f"version {output.version}, its own labels"
    scale = "" if output.score_scale is None else f", scores {output.score_scale}"
    return f"version {output.version}, rule {output.rule_version}, pneumonia from {output.at_least:g} (on 0-1){scale}"


def groups(reference: Reference, exposures: ExposureIndex) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the cases by attribute (sex, age, view) and value."""
    attributes: dict[str, dict[str, list[str]]] = {"sex": {}, "age": {}, "view": {}}
    for case in sorted(reference.labels):
        exposure = exposures.by_id[case]
        values = {"sex": exposure.sex, "age": age_band(exposure.age_years), "view": exposure.view}
        for name, value in values.items():
            attributes[name].setdefault(value or UNKNOWN, []).append(case)
    return {
        name: {value: tuple(cases) for value, cases in sorted(by_value.items())}
        for name, by_value in attributes.items()
    }


def age_band(years: int | None) -> str | None:
    """Return `under 20`, `20-39`, `40-59`, `60-79`, `80 and over`, or None."""
    if years is None:
        return None
    if years < AGE_STEPS[0]:
        return f"under {AGE_STEPS[0]}"
    above = [low for low in AGE_STEPS if low <= years][-1]
    return f"{above} and over" if above == AGE_STEPS[-1] else f"{above}-{above + 19}"
