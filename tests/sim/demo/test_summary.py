"""The summary: lost exposures and duplicates are counted, and an unknown truth is not counted as known."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from device.contract import Flag, Gate, GateStatus, Reason
from sim.demo.summary import (
    flags_by_truth,
    latency_medians,
    match_results,
    summarize,
)
from sim.site.site import Stored
from tests.sim.site.test_vendors import sent_exposure
from tests.support.results import draft


def stored(number, *, after_s=0.5, **changes):
    at = sent_exposure(number).answered_at + timedelta(seconds=after_s)
    result = replace(draft(str(number)), exposure_id=f"{number:032x}", **changes)
    return Stored(result=result, received_at=at.isoformat())


def sent(*numbers, **changes):
    return [(sent_exposure(number, **changes), frozenset({f"{number:032x}"})) for number in numbers]


def test_an_exposure_without_a_result_is_lost():
    summary = summarize(match_results(sent(1, 2), [stored(1)]), [stored(1)], {})
    assert (summary["exposures"], summary["results_stored"], summary["lost"], summary["duplicates"]) == (2, 1, 1, 0)


def test_two_results_of_one_exposure_are_a_duplicate():
    rows = [stored(1), replace(stored(1, after_s=2))]
    summary = summarize(match_results(sent(1), rows), rows, {})
    assert (summary["lost"], summary["duplicates"]) == (0, 1)


def test_nothing_lost_and_no_duplicate_are_counted_as_zero():
    rows = [stored(1), stored(2)]
    summary = summarize(match_results(sent(1, 2), rows), rows, {"source": "phantoms"})
    assert (summary["lost"], summary["duplicates"], summary["source"]) == (0, 0, "phantoms")


def test_rejections_are_counted_by_reason():
    gate = Gate(status=GateStatus.REJECTED, reason=Reason.MINOR)
    rows = [stored(1, gate=gate, flag=Flag.UNCLASSIFIED, probability=None, score=None)]
    summary = summarize(match_results(sent(1), rows), rows, {})
    assert summary["rejected_by_reason"] == {"minor": 1}
    assert summary["flags"] == {"unclassified": 1}


def test_an_invented_truth_is_not_counted():
    assert flags_by_truth(match_results(sent(1, label=1, invented=True), [stored(1)])) == {
        "normal": {},
        "pneumonia": {},
    }


def test_exposures_accepted_while_a_process_was_down_do_not_count_for_latency():
    outcomes = match_results(sent(1), [stored(1, after_s=30)])
    at = sent_exposure(1).answered_at
    assert latency_medians(outcomes)["accepted_to_stored"] == 30_000
    assert latency_medians(outcomes, down=(at, at))["accepted_to_stored"] is None
