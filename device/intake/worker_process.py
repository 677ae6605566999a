"""The sandbox's worker process as the box sees it: start it, send requests, read replies, notice its loss."""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from device.preprocess.render import INPUT_SHAPE

PIPE_BYTES = 1 << 18
MAX_TEXT_BYTES = 1 << 16
MAX_THUMBNAIL_BYTES = 4 << 20
HEAD = struct.Struct(">III")
"""Lengths of JSON text, image and thumbnail."""


class WorkerLost(Exception):
    """The worker died, fell silent or sent nonsense; its exposure is rejected and another worker takes over."""


class WorkerTimeout(WorkerLost):
    """It took longer than `prepare_s`."""


class WorkerProcess:
    """The process and its pipes."""

    def __init__(self, settings: bytes) -> None:
        root = str(Path(__file__).resolve().parents[2])
        # One thread in the numeric libraries: their pools would count against the memory limit.
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        environment = {"OPENCV_LOG_LEVEL": "SILENT", "PYTHONPATH": root, "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "device.intake.worker", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", "TZ": os.environ.get("TZ", "")}
            | threads
            | environment,
            bufsize=0,
            close_fds=True,
        )
        # A whole answer fits, so the worker is free for the next exposure before the box has read this one.
        fcntl.fcntl(self._pipes[1].fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._ready = False
        with contextlib.suppress(WorkerLost):  # Shows again, with its cause, when the worker is waited for.
            self.send(settings)

    @property
    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self.process.stdin is None or self.process.stdout is None:
            raise WorkerLost("no pipes")
        return self.process.stdin, self.process.stdout

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until imports are done and limits are set. Raises WorkerLost for a worker that died idle."""
        if not self._ready:
            self.receive(timeout_s)
            self._ready = True
        elif self.process.poll() is not None:
            raise WorkerLost("died idle")

    def send(self, message: bytes) -> None:
        """One message. Raises WorkerLost."""
        try:
            self._pipes[0].write(len(message).to_bytes(4, "big") + message)
        except OSError:
            raise WorkerLost("died before the exposure") from None

    def receive(self, timeout_s: float) -> tuple[bytes, bytes, bytes]:
        """Text, image, thumbnail. Raises WorkerLost, WorkerTimeout."""
        deadline = time.monotonic() + timeout_s
        text, image, thumbnail = HEAD.unpack(self._read(HEAD.size, deadline))
        image_bytes = INPUT_SHAPE[0] * INPUT_SHAPE[1]
        if text > MAX_TEXT_BYTES or image not in {0, image_bytes} or thumbnail > MAX_THUMBNAIL_BYTES:
            raise WorkerLost("nonsense: lengths")
        whole = self._read(text + image + thumbnail, deadline)
        return whole[:text], whole[text : text + image], whole[text + image :]

    def _read(self, count: int, deadline: float) -> bytes:
        handle = self._pipes[1].fileno()
        data = bytearray()
        with selectors.PollSelector() as poll:
            poll.register(handle, selectors.EVENT_READ)
            while len(data) < count:
                if not poll.select(max(0.0, deadline - time.monotonic())):
                    raise WorkerTimeout("took too long")
                chunk = os.read(handle, count - len(data))
                if not chunk:
                    raise WorkerLost(f"stopped answering, status {self.process.poll()}")
                data += chunk
        return bytes(data)

    def end(self) -> None:
        """Kill, reap and close."""
        self.process.kill()
        self.process.wait()
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.close()
