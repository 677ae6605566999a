"""Process: nothing is left running, and a part that fails is named with its last words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sim.site.process import Child, PartFailed, run_tool

SLEEP = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(60)"]
WITH_A_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""
PARENT = [sys.executable, "-c", WITH_A_CHILD]


def runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"


def started(tmp_path, command, name="part"):
    child = Child(name, command, tmp_path / f"{name}.log")
    child.start()
    child.wait_until(lambda: child.log.read_text() != "", timeout_s=20, what="a word")
    return child


def gone(pid, within_s=5.0):
    end_s = time.monotonic() + within_s
    while runs(pid) and time.monotonic() < end_s:
        time.sleep(0.02)
    return not runs(pid)


def test_a_killed_part_takes_its_children_with_it(tmp_path):
    child = started(tmp_path, PARENT)
    grandchild = int(child.log.read_text())
    assert runs(grandchild)
    child.kill()
    assert gone(grandchild)
    assert not child.alive


def test_a_stopped_part_leaves_nothing(tmp_path):
    child = started(tmp_path, PARENT)
    pid, grandchild = child.pid, int(child.log.read_text())
    child.stop()
    assert gone(pid)
    assert gone(grandchild)


def test_a_part_that_ends_is_named_with_its_last_words(tmp_path):
    child = started(tmp_path, [sys.executable, "-c", "import sys; print('no such port'); sys.exit(3)"], "collector")
    with pytest.raises(PartFailed, match=r"(?s)collector ended with code 3.*no such port"):
        child.wait_until(lambda: False, timeout_s=20, what="its port")


def test_a_part_that_says_nothing_is_not_waited_for_for_ever(tmp_path):
    child = started(tmp_path, SLEEP, "box")
    try:
        with pytest.raises(PartFailed, match=r"box: ports\.json did not come"):
            child.wait_until(lambda: False, timeout_s=0.2, what="ports.json")
    finally:
        child.stop()


def test_a_part_can_be_started_again_and_its_log_goes_on(tmp_path):
    child = started(tmp_path, SLEEP)
    child.kill()
    child.check()
    child.start()
    child.wait_until(lambda: child.log.read_text().count("ready") == 2, timeout_s=20, what="a second word")
    child.stop()


def test_even_kill_9_of_the_starter_leaves_nothing(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from sim.site.process import Child\n"
        f"child = Child('part', {SLEEP!r}, Path({str(tmp_path / 'part.log')!r}))\n"
        "child.start(); print(child.pid, flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert starter.stdout
    pid = int(starter.stdout.readline())
    time.sleep(0.5)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    assert gone(pid)


def test_a_tool_that_fails_is_named_with_its_last_words(tmp_path):
    command = [sys.executable, "-c", "import sys; print('row 3 is wrong', file=sys.stderr); sys.exit(2)"]
    with pytest.raises(PartFailed, match=r"(?s)import-reads ended with code 2.*row 3 is wrong"):
        run_tool(command, tmp_path / "log", "import-reads")


def test_a_tools_words_are_handed_on(tmp_path):
    assert run_tool([sys.executable, "-c", "print('12 records')"], tmp_path / "log", "x") == "12 records\n"
