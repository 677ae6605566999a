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
    found: Counter[str] = Counter()
    sound = make_dx(folder / "sound")
    with closing(Sandbox(GateConfig(), Ages(min_years=20), LimitsConfig(prepare_s=10))) as sandbox:
        expected = sandbox.prepare(sound).image
        for number, content in enumerate(mutations(sources, count, seed)):
            path = folder / "damaged"
            path.write_bytes(content)
            pid = sandbox.pid
            decision = sandbox.prepare(path).decision
            found["accepted" if isinstance(decision, Accepted) else decision.reason.value] += 1
            found["lost"] += sandbox.pid != pid
            if number % 100 == 0:
                assert (sandbox.prepare(sound).image == expected).all()
    return found


def test_every_damaged_exposure_gets_an_answer(tmp_path):
    found = answers(tmp_path, originals(tmp_path), SHORT, seed=1)
    assert sum(found.values()) - found["lost"] == SHORT
    # Damage that nothing notices, or that always ends the child, would make this test worthless.
    assert found["accepted"] > SHORT // 20
    assert found["unreadable"] > SHORT // 10
    assert found["lost"] < SHORT // 50


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_damaged_exposure_of_a_long_campaign_gets_an_answer(tmp_path, shared_data):
    sources = originals(tmp_path) + [path.read_bytes() for path in sorted((shared_data / "dicom").glob("*.dcm"))]
    found = answers(tmp_path, sources, LONG, seed=2)
    assert sum(found.values()) - found["lost"] == LONG
