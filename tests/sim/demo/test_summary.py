"""Account: a lost film is counted lost and a doubled one doubled; what a person did not say is not counted as known."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from device.contract import Flag, Gate, GateStatus, Reason
from sim.demo.summary import (
    fates,
    flags_by_truth,
    latency_medians,
    summary,
)
from sim.site.site import Stored
from tests.device.results import draft
from tests.sim.site.test_vendors import film


def stored(number, *, after_s=0.5, **changes):
    at = film(number).answered_at + timedelta(seconds=after_s)
    result = replace(draft(str(number)), exposure_id=f"{number:032x}", **changes)
    return Stored(result=result, received_at=at.isoformat())


def sent(*numbers, **changes):
    return [(film(number, **changes), frozenset({f"{number:032x}"})) for number in numbers]


def test_a_film_without_a_result_is_lost():
    found = summary(fates(sent(1, 2), [stored(1)]), [stored(1)], {})
    assert (found["exposures"], found["results_stored"], found["lost"], found["duplicates"]) == (2, 1, 1, 0)


def test_two_results_of_one_film_are_a_duplicate():
    rows = [stored(1), replace(stored(1, after_s=2))]
    found = summary(fates(sent(1), rows), rows, {})
    assert (found["lost"], found["duplicates"]) == (0, 1)


def test_nothing_lost_and_nothing_doubled_is_said_so():
    rows = [stored(1), stored(2)]
    found = summary(fates(sent(1, 2), rows), rows, {"source": "phantoms"})
    assert (found["lost"], found["duplicates"], found["source"]) == (0, 0, "phantoms")


def test_rejections_are_counted_by_reason():
    gate = Gate(status=GateStatus.REJECTED, reason=Reason.MINOR)
    rows = [stored(1, gate=gate, flag=Flag.UNCLASSIFIED, probability=None, score=None)]
    found = summary(fates(sent(1), rows), rows, {})
    assert found["rejected_by_reason"] == {"minor": 1}
    assert found["flags"] == {"unclassified": 1}


def test_invented_truth_is_not_counted():
    assert flags_by_truth(fates(sent(1, label=1, invented=True), [stored(1)])) == {"normal": {}, "pneumonia": {}}


def test_films_taken_while_a_part_was_down_do_not_count_for_latency():
    films = fates(sent(1), [stored(1, after_s=30)])
    at = film(1).answered_at
    assert latency_medians(films)["taken_to_stored"] == 30_000
    assert latency_medians(films, down=(at, at))["taken_to_stored"] is None
