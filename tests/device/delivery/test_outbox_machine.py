"""The outbox as a state machine: in whatever order puts, receipts, refusals, kills and starts come, nothing is lost."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from device.delivery.outbox import Outbox
from tests.support.results import draft, entry

NAMES = st.integers(0, 12).map(lambda n: f"exposure {n}")
TRIES = 3


class OutboxMachine(RuleBasedStateMachine):
    """`waiting` and `dead_letters` hold what must be there: result id to sequence number."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="outbox-"))
        self.home = self.root / "0"
        self.home.mkdir()
        self.box = Outbox(self.home / "outbox.sqlite")
        self.waiting: dict[str, int] = {}
        self.dead_letters: dict[str, int] = {}
        self.results: dict[str, int] = {}
        self.refusals: dict[int, int] = {}
        self.starts = 0

    @rule(name=NAMES)
    def put(self, name: str) -> None:
        result = self.box.put(draft(name), entry(draft(name)))
        repeated = draft(name).result_id in self.results
        assert (result is None) == repeated
        if result:
            assert result.seq == len(self.results) + 1, "numbers rise by one, without a gap"
            self.results[result.result_id] = self.waiting[result.result_id] = result.seq

    @rule(names=st.lists(NAMES, max_size=5))
    def receipt(self, names: list[str]) -> None:
        ids = [draft(name).result_id for name in names]
        assert self.box.confirm(ids) == len(self.waiting.keys() & set(ids))
        for result_id in ids:
            self.waiting.pop(result_id, None)

    @precondition(lambda self: self.waiting)
    @rule(pick=st.randoms(use_true_random=False))
    def refuse(self, pick) -> None:
        result_id, seq = pick.choice(sorted(self.waiting.items()))
        self.refusals[seq] = self.refusals.get(seq, 0) + 1
        assert self.box.count_refusal(seq) == self.refusals[seq]
        if self.refusals[seq] >= TRIES:
            self.box.move_to_dead_letters(seq, "too large")
            self.dead_letters[result_id] = self.waiting.pop(result_id)

    @rule()
    def restart(self) -> None:
        self.box.close()
        self.box = Outbox(self.home / "outbox.sqlite")

    @rule()
    def kill(self) -> None:
        """What is on disk at this moment is all that the next start finds; nothing was closed."""
        self.starts += 1
        killed, self.home = self.home, self.root / str(self.starts)
        self.home.mkdir()
        for file in killed.glob("outbox.sqlite*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, self.home)
        self.box.close()
        shutil.rmtree(killed)
        self.box = Outbox(self.home / "outbox.sqlite")

    @invariant()
    def everything_without_a_receipt_is_there_in_order(self) -> None:
        messages = self.box.waiting(limit=1000)
        assert [(message.result_id, message.seq) for message in messages] == sorted(
            self.waiting.items(), key=lambda item: item[1]
        )
        assert all(message.refusals == self.refusals.get(message.seq, 0) for message in messages)
        assert (self.box.depth(), self.box.dead_letters()) == (len(self.waiting), len(self.dead_letters))
        assert self.box.last_seq() == len(self.results)
        assert [flag.result["seq"] for flag in self.box.history(100)] == sorted(self.results.values(), reverse=True)

    def teardown(self) -> None:
        self.box.close()
        shutil.rmtree(self.root, ignore_errors=True)


OutboxMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestOutbox = OutboxMachine.TestCase
