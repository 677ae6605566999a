"""Counted: settings and the store's rows come in; how calls were made, in sentences, and the subgroups go out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from collector.compare import Reference
from collector.config import CompareConfig
from collector.study.matching import Films

REVIEW_AT = 0.5
AGE_STEPS = (20, 40, 60, 80)
UNKNOWN = "not said"
REVIEW_RULES = {
    "probability": f"counted as pneumonia from probability {REVIEW_AT}, as normal below",
    "pneumonia": "counted as pneumonia",
    "normal": "counted as normal",
}
UNCLASSIFIED_RULES = {
    "exclude": "left out of the figures, and listed",
    "wrong": "counted as errors (then without ROC AUC and Brier score: there is no score to rank)",
}


def counting(config: CompareConfig, results: Sequence[Any], outputs: Sequence[Any]) -> dict[str, str]:
    """What stands behind the calls: flags, models of the boxes, and each vendor's version, rule and threshold."""
    found = {
        "review flags": REVIEW_RULES[config.review],
        "unclassified films": UNCLASSIFIED_RULES[config.unclassified],
    }
    models = sorted({(row.model_name, row.model_version, row.model_digest[:12]) for row in results})
    if models:
        found["model of the boxes"] = "; ".join(f"{name} v{version} ({digest})" for name, version, digest in models)
    called = [row for row in outputs if row.positive is not None]
    for system in sorted({row.system for row in called}):
        found[f"{system} calls"] = "; ".join(sorted({_rule(row) for row in called if row.system == system}))
    return found


def _rule(row: Any) -> str:
    threshold = "" if row.at_least is None else f", pneumonia from {row.at_least:g}"
    scale = "" if row.score_scale is None else f", scores {row.score_scale}"
    return (
        f"version {row.version}, rule {row.rule_version}{threshold} (on 0-1){scale}"
        if threshold
        else (f"version {row.version}, its own labels")
    )


def groups(reference: Reference, films: Films) -> dict[str, dict[str, tuple[str, ...]]]:
    """Cases by attribute and its value."""
    attributes: dict[str, dict[str, list[str]]] = {"sex": {}, "age": {}, "view": {}}
    for case in sorted(reference.labels):
        film = films.by_exposure[case]
        for name, value in (("sex", film.sex), ("age", age_band(film.age_years)), ("view", film.view)):
            attributes[name].setdefault(value or UNKNOWN, []).append(case)
    return {
        name: {value: tuple(cases) for value, cases in sorted(values.items())} for name, values in attributes.items()
    }


def age_band(years: int | None) -> str | None:
    """`under 20`, `20-39`, `40-59`, `60-79`, `80 and over`, or None."""
    if years is None:
        return None
    if years < AGE_STEPS[0]:
        return f"under {AGE_STEPS[0]}"
    above = [low for low in AGE_STEPS if low <= years][-1]
    return f"{above} and over" if above == AGE_STEPS[-1] else f"{above}-{above + 19}"
