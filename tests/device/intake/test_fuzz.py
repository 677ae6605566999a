"""Thousands of damaged exposures: each gets its answer, none disturbs the box or the next exposure."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from device.config import GateConfig, LimitsConfig
from device.intake.gate import Accepted, Ages
from device.intake.sandbox import Sandbox
from tests.device.intake.mutations import mutations, originals
from tests.support.dicom_files import make_dx

SHORT, LONG = 600, 20_000


def answers(folder: Path, sources: list[bytes], count: int, seed: int) -> Counter[str]:
    """How the damaged exposures were classified. The sound exposure in between shows that none left traces."""
    outcomes: Counter[str] = Counter()
    sound = make_dx(folder / "sound")
    with closing(Sandbox(GateConfig(), Ages(min_years=20), LimitsConfig(prepare_s=10))) as sandbox:
        expected = sandbox.prepare(sound).image
        for number, content in enumerate(mutations(sources, count, seed)):
            path = folder / "damaged"
            path.write_bytes(content)
            pid = sandbox.pid
            decision = sandbox.prepare(path).decision
            outcomes["accepted" if isinstance(decision, Accepted) else decision.reason.value] += 1
            outcomes["lost"] += sandbox.pid != pid
            if number % 100 == 0:
                assert (sandbox.prepare(sound).image == expected).all()
    return outcomes


def test_every_damaged_exposure_gets_an_answer(tmp_path):
    outcomes = answers(tmp_path, originals(tmp_path), SHORT, seed=1)
    assert sum(outcomes.values()) - outcomes["lost"] == SHORT
    # Damage that nothing notices, or that always ends the worker, would make this test worthless.
    assert outcomes["accepted"] > SHORT // 20
    assert outcomes["unreadable"] > SHORT // 10
    assert outcomes["lost"] < SHORT // 50


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_damaged_exposure_of_a_long_campaign_gets_an_answer(tmp_path, shared_data):
    sources = originals(tmp_path) + [path.read_bytes() for path in sorted((shared_data / "dicom").glob("*.dcm"))]
    outcomes = answers(tmp_path, sources, LONG, seed=2)
    assert sum(outcomes.values()) - outcomes["lost"] == LONG
