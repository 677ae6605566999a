"""Film judge: a spooled film comes in; its result and what the board shows of it go out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

from device.contract import Clock, GateStatus, Reason, Source
from device.delivery.flag_history import BoardEntry
from device.inference import heatmap
from device.intake.gate import Rejected
from device.intake.prepare import Prepared
from device.pipeline.exposure import (
    Judged,
    Network,
    Preparer,
    SiteIdentity,
    judge_film,
)
from device.pipeline.loop import Answer
from device.receive.spool import Spooled


class FilmJudge:
    """The pipeline's judge: the same `judge_film` as the offline command, with the sandbox for a preparer."""

    def __init__(
        self, preparer: Preparer, network: Network, identity: SiteIdentity, *, clock: Callable[[], Clock]
    ) -> None:
        self._preparer, self._network, self._identity, self._clock = preparer, network, identity, clock

    def judge(self, film: Spooled) -> Answer:
        """Decode, gate, classify, decide."""
        return self._answer(film, self._preparer)

    def give_up(self, film: Spooled) -> Answer:
        """The rejection `unreadable`, from the file's digest alone."""
        return self._answer(film, _Unopened())

    def _answer(self, film: Spooled, preparer: Preparer) -> Answer:
        judged = judge_film(
            film.path,
            film.received_at,
            film.source,
            film.receive_ms,
            preparer,
            self._network,
            self._identity,
            self._clock,
        )
        return Answer(result=judged.result, entry=_entry(judged, film))


class _Unopened:
    """Prepares nothing: for a film that took the box down each time it was opened."""

    def prepare(self, path: Path, *, source_hint: Source = Source.FILE) -> Prepared:  # noqa: ARG002 - never opened
        return Prepared.unread(source_hint, Reason.UNREADABLE)


def _entry(judged: Judged, film: Spooled) -> BoardEntry:
    identity = judged.prepared.identity
    return BoardEntry(
        result=judged.result.to_dict(),
        patient_name=identity.patient_name,
        patient_id=identity.patient_id,
        accession=identity.accession,
        acquired_at=judged.result.exposure.acquired_at,
        received_at=film.received_at,
        decided_at=judged.result.clock.at,
        thumbnail=judged.prepared.thumbnail,
        evidence=_evidence(judged),
        fingerprint=_fingerprint(judged),
    )


def _evidence(judged: Judged) -> bytes | None:
    """Where the score came from; none for a film that has no flag."""
    drawn = judged.evidence
    return None if drawn is None else heatmap.jpeg(*drawn)


def _fingerprint(judged: Judged) -> str:
    """SHA-256 in hex over whose film it is and what the network saw of it.

    Not over the file: the same film sent by C-STORE and by the folder differs in its file meta information.
    """
    # The verdict on the file, not on what the network made of it: that may differ between two backends.
    image, verdict = judged.prepared.image, judged.prepared.verdict
    gate = (GateStatus.REJECTED, verdict.reason) if isinstance(verdict, Rejected) else (GateStatus.ACCEPTED, None)
    whose = json.dumps([*astuple(judged.prepared.identity), *gate])
    return hashlib.sha256(whose.encode() + (b"" if image is None else image.tobytes())).hexdigest()
