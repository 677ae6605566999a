"""The gate's order of reasons, and what the site makes of missing attributes."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from device.config import GateConfig
from device.contract import Caveat, Reason
from device.dicom.header import HeaderFacts
from device.dicom.vocabulary import View
from device.intake.gate import Accepted, Ages, Rejected, decide_gate

ADULTS = Ages(min_years=20)
GOOD = HeaderFacts(is_dicom=True, modalities=("DX",), body_part="CHEST", view=View.PA, age_years=66)
FAULTS = {
    Reason.WRONG_MODALITY: {"modalities": ("CT",)},
    Reason.UNREADABLE: {"complete": False},
    Reason.NO_PIXELS: {"has_pixels": False},
    Reason.FOR_PROCESSING: {"for_processing": True},
    Reason.NOT_CHEST: {"body_part": "HAND"},
    Reason.LATERAL_VIEW: {"view": View.LATERAL},
    Reason.MINOR: {"age_years": 19},
}


def reason(facts: HeaderFacts, policy: GateConfig | None = None, ages: Ages = ADULTS) -> Reason | None:
    decision = decide_gate(facts, policy or GateConfig(), ages)
    return decision.reason if isinstance(decision, Rejected) else None


def test_an_adult_frontal_chest_exposure_passes_without_caveat():
    assert decide_gate(GOOD, GateConfig(), ADULTS) == Accepted()


@pytest.mark.parametrize(("expected", "change"), [*FAULTS.items()])
def test_each_fault_has_its_reason(expected, change):
    assert reason(replace(GOOD, **change)) is expected


@pytest.mark.parametrize(("first", "second"), [*itertools.combinations(FAULTS, 2)])
def test_of_two_faults_the_first_of_the_order_is_named(first, second):
    assert reason(replace(GOOD, **FAULTS[second], **FAULTS[first])) is first


def test_a_ct_is_the_wrong_modality_whatever_else_it_lacks():
    assert (
        reason(HeaderFacts(is_dicom=True, modalities=("CT",), has_pixels=False, complete=False))
        is Reason.WRONG_MODALITY
    )


def test_an_exposure_whose_class_contradicts_its_modality_is_refused():
    assert reason(replace(GOOD, modalities=("DX", "CT"))) is Reason.WRONG_MODALITY
    assert reason(replace(GOOD, modalities=("CR", "DX"))) is None


def test_an_object_that_does_not_say_what_it_is():
    assert reason(HeaderFacts(is_dicom=True, has_pixels=False)) is Reason.NO_PIXELS
    assert reason(HeaderFacts(is_dicom=True)) is Reason.WRONG_MODALITY


@pytest.mark.parametrize("view", [View.PA, View.AP, View.FRONTAL])
def test_frontal_views_pass(view):
    assert reason(replace(GOOD, view=view)) is None


@pytest.mark.parametrize("view", [View.LATERAL, View.OBLIQUE, View.DECUBITUS, View.OTHER])
def test_every_other_view_is_refused(view):
    assert reason(replace(GOOD, view=view)) is Reason.LATERAL_VIEW


@pytest.mark.parametrize(
    ("missing", "setting", "caveat", "expected"),
    [
        ({"view": None}, "missing_view", Caveat.VIEW_MISSING, Reason.UNKNOWN_VIEW),
        ({"age_years": None}, "missing_age", Caveat.AGE_MISSING, Reason.UNKNOWN_AGE),
        ({"body_part": None}, "missing_body_part", Caveat.BODY_PART_MISSING, Reason.NOT_CHEST),
    ],
)
def test_a_missing_attribute_is_a_caveat_or_a_rejection_as_the_site_wants(missing, setting, caveat, expected):
    facts = replace(GOOD, **missing)
    assert decide_gate(facts, GateConfig(), ADULTS) == Accepted(caveats=(caveat,))
    assert decide_gate(facts, GateConfig(**{setting: "reject"}), ADULTS) == Rejected(reason=expected, caveats=(caveat,))


def test_a_picture_without_dicom_carries_its_caveats():
    picture = HeaderFacts(is_dicom=False)
    carried = (Caveat.NOT_DICOM, Caveat.VIEW_MISSING, Caveat.AGE_MISSING)
    assert decide_gate(picture, GateConfig(), ADULTS) == Accepted(caveats=carried)
    assert reason(picture, GateConfig(files_without_dicom="reject")) is Reason.WRONG_MODALITY
    assert reason(picture, GateConfig(missing_view="reject")) is Reason.UNKNOWN_VIEW
    assert reason(picture, GateConfig(missing_body_part="reject")) is None


def test_the_models_ages_are_both_included():
    children = Ages(min_years=1, max_years=5)
    assert [reason(replace(GOOD, age_years=age), ages=children) for age in (0, 1, 5, 6)] == [
        Reason.MINOR,
        None,
        None,
        Reason.OUT_OF_DISTRIBUTION,
    ]


def test_modalities_are_the_sites_choice():
    assert reason(replace(GOOD, modalities=("RG",)), GateConfig(modalities=("RG",))) is None
    assert reason(GOOD, GateConfig(modalities=("CR",))) is Reason.WRONG_MODALITY


def test_oddities_of_an_accepted_exposure_are_caveats():
    odd = replace(GOOD, frames=3, window_missing=True)
    assert decide_gate(odd, GateConfig(), ADULTS) == Accepted(caveats=(Caveat.WINDOW_MISSING, Caveat.MULTI_FRAME))
