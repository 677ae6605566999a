"""No exposure answered Success is lost, whatever is killed; a box without receipts loses some on the same schedule."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.flow.campaign import Outcome, run_campaign

pytestmark = [pytest.mark.mosquitto, pytest.mark.dcmtk, pytest.mark.timeout(900)]
PUBACK_BOX = [sys.executable, "-m", "tests.flow.puback_box"]


def assert_nothing_lost(outcome: Outcome, *, exposures: int, kills_each: int) -> None:
    assert outcome.kills == dict.fromkeys(("box", "broker", "collector"), kills_each)
    assert outcome.exposures == exposures
    assert (outcome.lost, outcome.duplicates) == (0, 0)
    assert (outcome.rows, outcome.last_seq) == (exposures, exposures), "the numbers have no gap"
    assert outcome.repeated_seqs == 0


def test_sixty_exposures_survive_two_kills_of_box_broker_and_collector(tmp_path: Path) -> None:
    outcome = run_campaign(tmp_path, exposures=60, kills_each=2, seed=2)
    print(outcome)
    assert_nothing_lost(outcome, exposures=60, kills_each=2)


def test_the_same_schedule_loses_exposures_when_the_box_deletes_on_puback(tmp_path: Path) -> None:
    # A kill must meet a message that the broker has acknowledged and not yet delivered; a schedule may miss it.
    for seed in range(2, 7):
        folder = tmp_path / str(seed)
        folder.mkdir()
        outcome = run_campaign(folder, exposures=60, kills_each=2, seed=seed, box_command=PUBACK_BOX)
        print(outcome)
        if outcome.lost > 0:
            break
    assert outcome.lost > 0
    # The schedule that the control lost under is the one to survive.
    kept = tmp_path / "kept"
    kept.mkdir()
    assert_nothing_lost(run_campaign(kept, exposures=60, kills_each=2, seed=seed), exposures=60, kills_each=2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11, 12])
def test_a_thousand_exposures_survive_ten_kills_of_each(tmp_path: Path, seed: int) -> None:
    outcome = run_campaign(tmp_path, exposures=1000, kills_each=10, seed=seed)
    print(outcome)
    assert_nothing_lost(outcome, exposures=1000, kills_each=10)


@pytest.mark.slow
def test_a_thousand_exposures_with_ten_kills_of_each_lose_some_when_the_box_deletes_on_puback(tmp_path: Path) -> None:
    outcome = run_campaign(tmp_path, exposures=1000, kills_each=10, seed=11, box_command=PUBACK_BOX)
    print(outcome)
    assert outcome.lost > 0
