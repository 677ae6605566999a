"""Gate: header facts, the site's policy and the model's ages come in; Accepted or Rejected goes out. Pure.

When several reasons hold, the first of this order is given; a person would name it first too:

1. `too_large`: the file is above `limits.max_file_bytes`, so none of it is read
2. `unreadable`: neither DICOM nor JPEG nor PNG, damaged, or its header cannot be parsed
3. `wrong_modality`  4. `no_pixels`  5. `for_processing`  6. `not_chest`  7. `lateral_view`  8. `minor`
   (and `out_of_distribution` above the model's highest age)  9. `header_contradictory`: a value that decides cannot be
   understood, or contradicts another  10. `unknown_view`  11. `unknown_age`
12. `unsupported_transfer_syntax`  13. `too_large`: more than `limits.max_pixels`
14. `unreadable`: the pixels cannot be decoded, are not all there, or fewer than rows x columns
15. `out_of_distribution`: the exposure is unlike the model's training set

3 to 11 are decided here from the header alone; pixels of a rejected exposure are never decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from device.config import GateConfig
from device.contract import Caveat, Reason
from device.dicom.header import HeaderFacts
from device.dicom.vocabulary import CHEST


class AgeLimits(Protocol):
    """Ages that the model may classify, both ends included (`manifest.Ages`)."""

    @property
    def min_years(self) -> int:
        """Youngest."""

    @property
    def max_years(self) -> int | None:
        """Oldest; None: no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """Ages in years, both ends included."""

    min_years: int
    max_years: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The network may classify the exposure."""

    caveats: tuple[Caveat, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The network may not, and why. `detail` is for the log: what exactly is missing, without any text of the file."""

    reason: Reason
    caveats: tuple[Caveat, ...] = ()
    detail: str = field(default="", compare=False)


GateDecision = Accepted | Rejected


def decide_gate(facts: HeaderFacts, policy: GateConfig, ages: AgeLimits) -> GateDecision:
    """The first reason of the module's order, or acceptance; caveats either way."""
    caveats = tuple(_caveats(facts))
    reason = next(_reasons(facts, policy, ages), None)
    return Accepted(caveats=caveats) if reason is None else Rejected(reason=reason, caveats=caveats)


def _caveats(facts: HeaderFacts) -> Iterator[Caveat]:
    if not facts.is_dicom:
        yield Caveat.NOT_DICOM
    if facts.view is None and not facts.view_unclear:
        yield Caveat.VIEW_MISSING
    if facts.age_years is None and not facts.age_unclear:
        yield Caveat.AGE_MISSING
    # A picture without DICOM never names its body part: `not_dicom` says so already.
    if facts.is_dicom and facts.body_part is None:
        yield Caveat.BODY_PART_MISSING
    if facts.window_missing:
        yield Caveat.WINDOW_MISSING
    if facts.frames > 1:
        yield Caveat.MULTI_FRAME
    yield from _caveats_of_unclear_values(facts)


def _caveats_of_unclear_values(facts: HeaderFacts) -> Iterator[Caveat]:
    if facts.view_unclear or facts.view_contradictory:
        yield Caveat.VIEW_UNCLEAR
    if facts.body_part_contradictory:
        yield Caveat.BODY_PART_UNCLEAR
    if facts.age_unclear:
        yield Caveat.AGE_UNCLEAR
    if facts.values_unclear:
        yield Caveat.VALUES_UNCLEAR


def _is_contradictory(facts: HeaderFacts) -> bool:
    """A value that decides cannot be understood, and no other source says the same."""
    undecided = (facts.view is None and facts.view_unclear) or (facts.age_years is None and facts.age_unclear)
    return undecided or facts.view_contradictory or facts.body_part_contradictory or facts.values_unclear


def _reasons(facts: HeaderFacts, policy: GateConfig, ages: AgeLimits) -> Iterator[Reason]:
    """All that hold, in the module's order."""
    yield from _reasons_of_content(facts, policy)
    if _is_not_chest(facts, policy):
        yield Reason.NOT_CHEST
    if facts.view is not None and not facts.view.frontal:
        yield Reason.LATERAL_VIEW
    yield from _reasons_of_age(facts.age_years, ages)
    if _is_contradictory(facts):
        yield Reason.HEADER_CONTRADICTORY
    if facts.view is None and policy.missing_view == "reject":
        yield Reason.UNKNOWN_VIEW
    if facts.age_years is None and policy.missing_age == "reject":
        yield Reason.UNKNOWN_AGE


def _reasons_of_content(facts: HeaderFacts, policy: GateConfig) -> Iterator[Reason]:
    if not _has_right_modality(facts, policy):
        yield Reason.WRONG_MODALITY
    if not facts.complete:
        yield Reason.UNREADABLE
    if not facts.has_pixels:
        yield Reason.NO_PIXELS
    if facts.for_processing:
        yield Reason.FOR_PROCESSING


def _has_right_modality(facts: HeaderFacts, policy: GateConfig) -> bool:
    if not facts.is_dicom:
        return policy.files_without_dicom == "caveat"
    if not facts.modalities:
        # Nothing says what it is. Without pixels that is the plainer reason; with one it is not a radiograph.
        return not facts.has_pixels
    return all(modality in policy.modalities for modality in facts.modalities)


def _is_not_chest(facts: HeaderFacts, policy: GateConfig) -> bool:
    if facts.body_part is None:
        return facts.is_dicom and policy.missing_body_part == "reject"
    return facts.body_part != CHEST


def _reasons_of_age(age_years: int | None, ages: AgeLimits) -> Iterator[Reason]:
    if age_years is None:
        return
    if age_years < ages.min_years:
        yield Reason.MINOR
    if ages.max_years is not None and age_years > ages.max_years:
        yield Reason.OUT_OF_DISTRIBUTION
