"""Study: a reference, systems and what was left out; its comparison, its subgroups and its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from collector.compare import Comparison, Reference, System, compare
from collector.labels import NOT_FOR

TIE = "readers_tied"
LISTED = 1000
SUBGROUP_RESAMPLES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Ready to compare. `unread` exposures have a result and no read; `counting` says how calls were made.

    `groups` divides the cases by an attribute (sex, age, view): attribute to value to cases.
    """

    reference: Reference
    systems: tuple[System, ...]
    unread: int
    counting: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    groups: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def comparison(self, *, resamples: int = 2000, seed: int = 20_240_417) -> Comparison:
        """Return the figures of every system and every pair."""
        return compare(self.reference.labels, self.systems, resamples=resamples, seed=seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subgroup:
    """The figures over the cases with one value of an attribute."""

    attribute: str
    value: str
    comparison: Comparison


def subgroups(study: Study) -> tuple[Subgroup, ...]:
    """Return the subgroups of every attribute with more than one value, in the order of `groups`."""
    return tuple(
        Subgroup(
            attribute=attribute,
            value=value,
            comparison=compare(
                {case: study.reference.labels[case] for case in cases}, study.systems, resamples=SUBGROUP_RESAMPLES
            ),
        )
        for attribute, values in study.groups.items()
        if len(values) > 1
        for value, cases in values.items()
    )


def ties_of(reference: Reference) -> dict[str, tuple[str, ...]]:
    """Return the cases excluded from every system because the readers tied, by reason."""
    return {TIE: reference.ties}


def to_json(study: Study, comparison: Comparison) -> dict[str, Any]:
    """Return the JSON of docs/compare.md: systems, pairs, reference, what was left out and how calls were made."""
    return {
        **comparison.to_dict(),
        "reference": _reference(study.reference),
        "excluded": {
            system.name: {
                reason: {"count": len(cases), "cases": list(cases[:LISTED])}
                for reason, cases in system.excluded.items()
                if cases
            }
            for system in study.systems
        },
        "subgroups": [
            {
                "attribute": group.attribute,
                "value": group.value,
                "systems": {outcome.name: outcome.to_dict() for outcome in group.comparison.systems},
            }
            for group in subgroups(study)
        ],
        "unread": study.unread,
        "counting": dict(study.counting),
        "notes": list(study.notes),
        "confidence": 0.95,
        "use": NOT_FOR,
    }


def _reference(reference: Reference) -> dict[str, Any]:
    return {
        "rule": "majority of the readers; a tie is no reference",
        "cases": len(reference.labels),
        "positive": reference.positives,
        "negative": len(reference.labels) - reference.positives,
        "readers": list(reference.readers),
        "ties": list(reference.ties[:LISTED]),
        "disagreements": {"count": len(reference.disagreements), "cases": list(reference.disagreements[:LISTED])},
        "fleiss_kappa": reference.fleiss_kappa,
        "fleiss_cases": reference.fleiss_cases,
        "pairs": [{"a": p.a, "b": p.b, "cases": p.cases, "kappa": p.kappa} for p in reference.pairs],
    }
