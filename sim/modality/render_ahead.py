"""Images of the coming cases, rendered ahead of their turn in processes of their own.

Apart from `modality`, so that these processes need not load what only sending needs.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context

import cv2

from sim.modality.cases import Case
from sim.modality.images import AcquiredImage, acquire

_AHEAD = 3
"""Images rendered before their turn: each takes 19 MB."""

CaseImages = Iterator[tuple[Case, AcquiredImage | None]]


@contextmanager
def rendered_images(cases: Sequence[Case], workers: int) -> Iterator[CaseImages]:
    """Iterate over the cases with their images; `workers` processes, or 0 to render each image when it is needed."""
    if workers < 1:
        yield ((case, acquire(case)) for case in cases)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_set_up_worker) as pool:
        try:
            yield _in_order(cases, pool, ahead=_AHEAD + workers)
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


def _in_order(cases: Sequence[Case], pool: ProcessPoolExecutor, *, ahead: int) -> CaseImages:
    waiting: list[tuple[Case, Future[AcquiredImage | None]]] = []
    for case in cases:
        waiting.append((case, pool.submit(acquire, case)))
        if len(waiting) > ahead:
            first, future = waiting.pop(0)
            yield first, future.result()
    for case, future in waiting:
        yield case, future.result()
