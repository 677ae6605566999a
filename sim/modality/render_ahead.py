"""Darkroom: cases come in; the same cases with their pixels go out in order, rendered ahead in processes of their own.

Apart from the modality, so that a worker need not load what only sending needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

import cv2

from sim.modality.cases import Case
from sim.modality.images import Exposed, expose

_AHEAD = 3
"""Films rendered before their turn: each is 19 MB."""


@contextmanager
def exposing(cases: Sequence[Case], workers: int) -> Iterator[Iterator[tuple[Case, Exposed | None]]]:
    """The cases with their pixels; `workers` processes, or none: each is then rendered when it is asked for."""
    if workers < 1:
        yield ((case, expose(case)) for case in cases)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        try:
            yield _in_order(cases, pool, ahead=_AHEAD + workers)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _one_thread() -> None:
    """A worker is one of several: more threads each would only crowd the box out."""
    cv2.setNumThreads(1)


def _in_order(cases: Sequence[Case], pool: ProcessPoolExecutor, *, ahead: int) -> Iterator[tuple[Case, Exposed | None]]:
    waiting: list[tuple[Case, Future[Exposed | None]]] = []
    for case in cases:
        waiting.append((case, pool.submit(expose, case)))
        if len(waiting) > ahead:
            first, future = waiting.pop(0)
            yield first, future.result()
    for case, future in waiting:
        yield case, future.result()
