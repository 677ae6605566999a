"""Interruption: a signal ends the demonstration soon, whenever it comes, and leaves nothing running."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.sim.demo.interrupted_runs import AT_THREAD_START
from tests.sim.modality.test_images import payload_of

DELAYS_S = (0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008, 0.01, 0.02, 0.04, 0.1, 0.2, 0.4)
MARK = "PNEUMOFLAG_TEST_MARK"
COMMAND = [sys.executable, "-c", "from sim.app import main; main()", "demo"]


def interrupted_runs(project_root, folder, *arguments):
    (folder / "image.dcm").write_bytes(payload_of().data)
    command = [sys.executable, "-m", "tests.sim.demo.interrupted_runs", str(folder), *map(str, arguments)]
    return subprocess.run(command, cwd=project_root, capture_output=True, text=True, check=False)


def test_a_signal_at_any_time_ends_the_sending(project_root, tmp_path):
    runs = interrupted_runs(project_root, tmp_path, AT_THREAD_START, *DELAYS_S)
    assert runs.returncode == 0, runs.stdout + runs.stderr


def test_a_handler_that_raises_would_leave_the_modality_sending(project_root, tmp_path):
    """The control: the exception comes before anybody knows of the thread, so nobody stops it."""
    runs = interrupted_runs(project_root, tmp_path, AT_THREAD_START, "--raise", "--limit-s", 2)
    assert runs.returncode == 1, runs.stdout + runs.stderr
    assert f"{AT_THREAD_START} inf" in runs.stdout


def running_with(mark: str) -> list[str]:
    """Return the command lines of processes that were started, directly or not, with this mark in their environment."""
    commands = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            content = environment.read_bytes()
            command = environment.with_name("cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if f"{MARK}={mark}".encode() in content.split(b"\0"):
            commands.append(command)
    return commands


@pytest.mark.parametrize("delay_s", [0.4, 1.5, 3.0, None], ids=["0.4 s", "1.5 s", "3 s", "once it is sending"])
def test_the_command_leaves_nothing_running_when_it_is_ended(tmp_path, tiny_bundle, delay_s):
    bundle, key = tiny_bundle
    options = ["--out", str(tmp_path / "out"), "--bundle", str(bundle), "--trusted-key", str(key.where)]
    environment = {**os.environ, MARK: str(tmp_path)}
    demo = subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, text=True, env=environment)
    assert demo.stdout
    if delay_s is None:
        assert any("sending exposures" in line for line in demo.stdout)
    else:
        time.sleep(delay_s)
    demo.terminate()
    demo.stdout.close()
    assert demo.wait(60) != 0
    # Broker, box and collector have ended before the command; helpers of multiprocessing notice its end a moment later.
    assert [command for command in running_with(str(tmp_path)) if str(tmp_path) in command] == []
    end_s = time.monotonic() + 10
    while (left := running_with(str(tmp_path))) and time.monotonic() < end_s:
        time.sleep(0.05)
    assert left == []
