"""The sandbox's worker: what it may take, what it may not, and that no exposure stops the next."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from device.config import GateConfig, LimitsConfig
from device.contract import Reason, Source
from device.intake.gate import Accepted, Ages, Rejected
from device.intake.sandbox import Sandbox, SandboxBroken, _prepared
from device.intake.worker_process import HEAD, WorkerLost, WorkerProcess
from tests.support.dicom_files import PATIENT_NAME, make_dx
from tests.support.exposures import prepared

ADULTS = Ages(min_years=20)


def open_sandbox(**limits: float) -> Sandbox:
    return Sandbox(GateConfig(), ADULTS, LimitsConfig(**limits))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with closing(open_sandbox()) as made:
        yield made


@pytest.fixture
def exposure(tmp_path: Path) -> Path:
    return make_dx(tmp_path / "exposure.dcm")


def deflate_bomb(path: Path, inflated_mib: int) -> Path:
    """After a full flush the packer starts afresh, so one packed MiB of zeros serves for all."""
    content = make_dx(path, transfer_syntax=DeflatedExplicitVRLittleEndian).read_bytes()
    dataset_at = 132 + 12 + struct.unpack_from("<L", content, 140)[0]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = packer.compress(struct.pack("<HH2sHL", 0x0009, 0x1010, b"OB", 0, inflated_mib << 20))
    head += packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    path.write_bytes(content[:dataset_at] + head + zeros * inflated_mib)
    return path


def test_it_answers_as_prepare_does_in_this_process(sandbox, exposure):
    there, here = sandbox.prepare(exposure), prepared(exposure)
    assert (there.image == here.image).all()
    assert (there.decision, there.exposure, there.identity) == (here.decision, here.exposure, here.identity)
    assert there.thumbnail == here.thumbnail


def test_a_rejection_and_a_path_that_is_not_text_come_through(sandbox, tmp_path):
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/fil\xff m\n\xc3\xa4"))
    odd.write_bytes(b"text")
    answer = sandbox.prepare(odd, source_hint=Source.DICOM)
    assert answer.decision == Rejected(reason=Reason.UNREADABLE)
    assert answer.exposure.source is Source.DICOM


def test_a_bomb_of_2_gib_is_too_large_and_the_next_exposure_is_served(sandbox, exposure, tmp_path):
    bomb = deflate_bomb(tmp_path / "bomb", 2048)
    assert bomb.stat().st_size < 3 << 20
    assert sandbox.prepare(bomb).decision == Rejected(reason=Reason.TOO_LARGE)
    assert sandbox.prepare(exposure).decision == Accepted()


def test_memory_above_the_limit_is_too_large_and_the_next_exposure_is_served(exposure, tmp_path):
    with closing(open_sandbox(memory_mib=128)) as tight:
        assert tight.prepare(deflate_bomb(tmp_path / "bomb", 250)).decision == Rejected(reason=Reason.TOO_LARGE)
        assert tight.prepare(exposure).decision == Accepted()


def test_an_exposure_that_never_ends_is_unreadable_and_the_next_is_served(exposure):
    with closing(open_sandbox(prepare_s=2)) as sandbox:
        assert sandbox.prepare(exposure).decision == Accepted()
        pid = sandbox.pid
        os.kill(pid, signal.SIGSTOP)
        assert sandbox.prepare(exposure).decision == Rejected(reason=Reason.UNREADABLE)
        assert sandbox.pid != pid
        assert sandbox.prepare(exposure).decision == Accepted()


def test_a_child_that_dies_over_an_exposure_costs_only_that_exposure(sandbox, exposure, tmp_path):
    big = make_dx(tmp_path / "big.dcm")
    sandbox.prepare(exposure)
    pid = sandbox.pid
    os.kill(pid, signal.SIGSTOP)
    killer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
    killer.start()
    assert sandbox.prepare(big).decision == Rejected(reason=Reason.UNREADABLE)
    assert sandbox.prepare(big).decision == Accepted()


def test_a_child_that_died_idle_costs_no_exposure(sandbox, exposure):
    sandbox.prepare(exposure)
    os.kill(sandbox.pid, signal.SIGKILL)
    sandbox._worker.process.wait()
    assert sandbox.prepare(exposure).decision == Accepted()


def test_where_no_child_starts_the_exposure_is_not_to_blame(exposure, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with closing(open_sandbox()) as sandbox, pytest.raises(SandboxBroken, match="no worker process starts"):
        sandbox.prepare(exposure)


def test_the_child_holds_no_socket_and_no_file_of_the_box(exposure, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server, (tmp_path / "open").open("w") as stream:
        os.set_inheritable(server.fileno(), True)
        os.set_inheritable(stream.fileno(), True)
        with closing(open_sandbox()) as sandbox:
            sandbox.prepare(exposure)
            held = [str(handle.readlink()) for handle in Path(f"/proc/{sandbox.pid}/fd").iterdir()]
    assert not [name for name in held if "socket" in name or str(tmp_path) in name]
    assert len([name for name in held if name.startswith("pipe:")]) == 2


def test_the_child_cannot_write_files_or_dump_core(sandbox, exposure):
    sandbox.prepare(exposure)
    limits = Path(f"/proc/{sandbox.pid}/limits").read_text(encoding="ascii")
    for name in ("Max file size", "Max core file size"):
        line = next(line for line in limits.splitlines() if line.startswith(name))
        assert line[len(name) :].split()[:2] == ["0", "0"]


def test_the_child_ends_with_a_box_that_is_killed(exposure):
    program = (
        "import time\n"
        "from tests.device.intake.test_sandbox import open_sandbox\n"
        "from pathlib import Path\n"
        "sandbox = open_sandbox()\n"
        f"sandbox.prepare(Path({str(exposure)!r}))\n"
        "print(sandbox.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=root) as box:
        worker = int(box.stdout.readline())
        os.kill(worker, signal.SIGSTOP)  # It could not notice the closed pipe.
        box.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        if "Z" in Path(f"/proc/{worker}/stat").read_text(encoding="ascii").rsplit(")", 1)[1][:3]:
            break
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{worker}").exists()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xff" * 40,
        HEAD.pack(2, 0, 0) + b"{}",
        HEAD.pack(1 << 30, 0, 0),
        HEAD.pack(4, 7, 0) + b"null" + bytes(7),
        HEAD.pack(4, 0, 0) + b"null",
        HEAD.pack(16, 0, 0) + json.dumps({"fault": "X"}).ljust(16).encode(),
        HEAD.pack(50, 0, 0) + b"{",
    ],
)
def test_nonsense_of_a_child_that_was_taken_over_counts_as_its_loss(answer):
    read_end, write_end = os.pipe()
    os.write(write_end, answer)
    os.close(write_end)
    worker = object.__new__(WorkerProcess)
    with os.fdopen(read_end, "rb", buffering=0) as stream:
        worker.process = SimpleNamespace(stdin=stream, stdout=stream, poll=lambda: None)
        with pytest.raises(WorkerLost):
            _prepared(*worker.receive(timeout_s=1))


def test_what_is_logged_of_a_lost_child_names_no_patient(exposure, caplog):
    with closing(open_sandbox(prepare_s=2)) as sandbox:
        sandbox.prepare(exposure)
        os.kill(sandbox.pid, signal.SIGSTOP)
        sandbox.prepare(exposure)
    assert [record.message for record in caplog.records] == ["sandbox_lost"]
    assert PATIENT_NAME.split("^")[0] not in repr(vars(caplog.records[0]))
    assert str(exposure) not in repr(vars(caplog.records[0]))


def test_several_threads_may_ask_at_once(sandbox, exposure):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(sandbox.prepare(exposure).decision)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [Accepted()] * 8
