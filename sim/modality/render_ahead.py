"""Images of the coming cases, rendered ahead of their turn in processes of their own.

Apart from `modality`, so that these processes need not load what only sending needs.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from multiprocessing import active_children, get_context
from threading import Event

import cv2

from sim.modality.cases import Case
from sim.modality.images import AcquiredImage, acquire

_AHEAD = 3
"""Images rendered before their turn: each takes 19 MB."""
_POLL_S = 0.1

CaseImages = Iterator[tuple[Case, AcquiredImage | None]]


@contextmanager
def rendered_images(cases: Sequence[Case], workers: int, stop: Event) -> Iterator[CaseImages]:
    """Iterate over the cases with their images; `workers` processes, or 0 to render each image when it is needed.

    Once `stop` is set the iteration ends, without waiting for an image that workers are still rendering.
    """
    if workers < 1:
        yield ((case, acquire(case)) for case in cases)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_set_up_worker) as pool:
        try:
            yield _in_order(cases, pool, stop, ahead=_AHEAD + workers)
        finally:
            # A rendering that has begun cannot be cancelled; on a busy machine it would delay an early end for long.
            for worker in active_children():
                worker.kill()
            pool.shutdown(wait=True, cancel_futures=True)


def _set_up_worker() -> None:
    # A worker is one of several: more threads each would only take the processor from the box.
    cv2.setNumThreads(1)
    # Ctrl-C at a terminal reaches every process there; the demonstration ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _in_order(cases: Sequence[Case], pool: ProcessPoolExecutor, stop: Event, *, ahead: int) -> CaseImages:
    coming = iter(cases)
    waiting: deque[tuple[Case, Future[AcquiredImage | None]]] = deque()
    while True:
        waiting.extend((case, pool.submit(acquire, case)) for case in islice(coming, ahead + 1 - len(waiting)))
        if not waiting:
            return
        case, future = waiting.popleft()
        while not wait((future,), _POLL_S).done:
            if stop.is_set():
                return
        yield case, future.result()
