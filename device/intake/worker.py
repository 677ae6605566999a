"""Worker: settings and paths come in by a pipe; replies of `prepare` go out by another.

Started as `python -m device.intake.worker PARENT`; see `sandbox`, which holds the other ends.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import resource
import signal
import sys
import warnings
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import cv2
from pydicom import dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from device.config import MIB, GateConfig, LimitsConfig
from device.contract import Source
from device.intake.gate import Ages
from device.intake.prepare import prepare
from device.intake.sandbox import reply_of
from device.intake.worker_process import HEAD

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
MAX_OPEN_FILES = 64


def main() -> None:
    """Answer until the box closes the pipe."""
    requests, answers = _take_pipes()
    sys.excepthook = answers.fault
    _end_with(int(sys.argv[1]))
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)
    settings = json.loads(_message(requests) or b"{}")
    policy = GateConfig.model_validate(settings["policy"])
    limits = LimitsConfig.model_validate(settings["limits"])
    ages = Ages(**settings["ages"])
    _warm_up(policy, ages, limits)
    spent_above = _confine(limits) + limits.memory_mib * MIB // 3
    answers.write(HEAD.pack(0, 0, 0))
    while request := _message(requests):
        request_json = json.loads(request)
        prepared = prepare(
            Path(request_json["path"]),
            source_hint=Source(request_json["source"]),
            policy=policy,
            ages=ages,
            limits=limits,
        )
        answers.write(reply_of(prepared, spent=_data_bytes() > spent_above))


def _take_pipes() -> tuple[IO[bytes], _Answers]:
    """The pipes for our own use; whatever a library prints goes nowhere."""
    requests, answers = os.fdopen(os.dup(0), "rb"), _Answers(os.dup(1))
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    return requests, answers


class _Answers:
    """The pipe to the box. Each message is written whole: a pipe takes 64 KiB at a time."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def write(self, message: bytes) -> None:
        """Blocks until the box has read it."""
        left = memoryview(message)
        while left:
            left = left[os.write(self._handle, left) :]

    def fault(self, error_type: type[BaseException], _: BaseException, trace: TracebackType | None) -> None:
        """Report which error ended the process and where, without its text, which could quote the header."""
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = "" if trace is None else f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        text = json.dumps({"fault": f"{error_type.__name__}{where}"}).encode()
        self.write(HEAD.pack(len(text), 0, 0) + text)


def _message(requests: IO[bytes]) -> bytes:
    """One message of the box; empty when it has closed the pipe."""
    return requests.read(int.from_bytes(requests.read(4), "big"))


def _end_with(parent: int) -> None:
    """Die when the box dies. The pipe's end says so too, but a decoder that never ends would not notice."""
    libc: Any = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)


def _confine(limits: LimitsConfig) -> int:
    """Limit memory to what stands now plus the exposure's allowance; write no file, dump no core. Returns bytes now.

    RLIMIT_DATA counts private memory, not the mapped file; RLIMIT_AS would count unused address space.
    """
    now = _data_bytes()
    most = now + limits.memory_mib * MIB
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_OPEN_FILES, MAX_OPEN_FILES))
    return now


def _data_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    return pages * resource.getpagesize()


def _warm_up(policy: GateConfig, ages: Ages, limits: LimitsConfig) -> None:
    """Prepare a small exposure of our own, so that the first real one finds every import done."""
    dataset = FileDataset("", {}, preamble=bytes(128), file_meta=FileMetaDataset())
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition, dataset.PatientAge = (
        "DX",
        "CHEST",
        "PA",
        "040Y",
    )
    dataset.Rows = dataset.Columns = 512
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 14, 13, 0
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.PixelData = bytes(512 * 512 * 2)
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=False)
    with os.fdopen(os.memfd_create("warm-up"), "wb") as memory:
        memory.write(buffer.getvalue())
        memory.flush()
        path = Path(f"/proc/self/fd/{memory.fileno()}")
        prepare(path, source_hint=Source.FILE, policy=policy, ages=ages, limits=limits)


if __name__ == "__main__":
    main()
