"""Processes of the site: nothing is left running, and a failure is reported with the end of the log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sim.site.process import ProcessFailed, SiteProcess, run_tool

SLEEP = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(60)"]
STARTS_ANOTHER = """
import subprocess, sys, time
process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(process.pid, flush=True)
time.sleep(60)
"""
PARENT = [sys.executable, "-c", STARTS_ANOTHER]


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"


def started(tmp_path, command, name="part"):
    process = SiteProcess(name, command, tmp_path / f"{name}.log")
    process.start()
    process.wait_until(lambda: process.log.read_text() != "", timeout_s=20, what="output")
    return process


def gone(pid, within_s=5.0):
    end_s = time.monotonic() + within_s
    while is_running(pid) and time.monotonic() < end_s:
        time.sleep(0.02)
    return not is_running(pid)


def test_a_killed_process_takes_those_it_started_with_it(tmp_path):
    process = started(tmp_path, PARENT)
    inner_pid = int(process.log.read_text())
    assert is_running(inner_pid)
    process.kill()
    assert gone(inner_pid)
    assert not process.alive


def test_a_stopped_process_leaves_nothing_running(tmp_path):
    process = started(tmp_path, PARENT)
    pid, inner_pid = process.pid, int(process.log.read_text())
    process.stop()
    assert gone(pid)
    assert gone(inner_pid)


def test_a_process_that_ends_is_reported_with_the_end_of_its_log(tmp_path):
    process = started(tmp_path, [sys.executable, "-c", "import sys; print('no such port'); sys.exit(3)"], "collector")
    with pytest.raises(ProcessFailed, match=r"(?s)collector ended with code 3.*no such port"):
        process.wait_until(lambda: False, timeout_s=20, what="its port")


def test_a_process_that_never_gets_ready_is_reported_after_a_time_limit(tmp_path):
    process = started(tmp_path, SLEEP, "box")
    try:
        with pytest.raises(ProcessFailed, match=r"box: ports\.json did not appear"):
            process.wait_until(lambda: False, timeout_s=0.2, what="ports.json")
    finally:
        process.stop()


def test_a_process_can_be_started_again_and_appends_to_its_log(tmp_path):
    process = started(tmp_path, SLEEP)
    process.kill()
    process.check()
    process.start()
    process.wait_until(lambda: process.log.read_text().count("ready") == 2, timeout_s=20, what="output again")
    process.stop()


def test_even_kill_9_of_the_starter_leaves_nothing_running(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from sim.site.process import SiteProcess\n"
        f"process = SiteProcess('part', {SLEEP!r}, Path({str(tmp_path / 'part.log')!r}))\n"
        "process.start(); print(process.pid, flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert starter.stdout
    pid = int(starter.stdout.readline())
    time.sleep(0.5)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    assert gone(pid)


def test_a_tool_that_fails_is_reported_with_the_end_of_its_log(tmp_path):
    command = [sys.executable, "-c", "import sys; print('row 3 is wrong', file=sys.stderr); sys.exit(2)"]
    with pytest.raises(ProcessFailed, match=r"(?s)import-reads ended with code 2.*row 3 is wrong"):
        run_tool(command, tmp_path / "log", "import-reads")


def test_a_tools_output_is_returned(tmp_path):
    assert run_tool([sys.executable, "-c", "print('12 records')"], tmp_path / "log", "x") == "12 records\n"
