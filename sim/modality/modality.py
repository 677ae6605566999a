"""Modality: cases come in; films at the box and a manifest go out, each resent until the box has taken it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import numpy as np

from sim.modality.cases import Case, Kind, Way
from sim.modality.images import Exposed, Parcel, pack
from sim.modality.manifest import Manifest, Sent
from sim.modality.render_ahead import exposing
from sim.modality.send import (
    Address,
    Declined,
    drop,
    store,
)
from sim.progress import Teller


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where films go. `folder` None: everything goes by C-STORE, and what cannot is an error."""

    address: Address | None
    folder: Path | None


class NoRoute(Exception):
    """A film has no way to the box; the words say which setting opens one."""


class Modality:
    """`run` makes and sends all cases. `told` hears of each one taken; `thumbs` gets a small JPEG of each."""

    def __init__(
        self,
        cases: Sequence[Case],
        route: Route,
        manifest: Manifest,
        *,
        run_name: str,
        per_minute: float | None = None,
        workers: int = 1,
        thumbs: Path | None = None,
        told: Callable[[Sent], None] = lambda _: None,
    ) -> None:
        self._cases, self._route, self._manifest = cases, route, manifest
        self._run_name, self._per_minute, self._workers = run_name, per_minute, workers
        self._thumbs, self._told = thumbs, told
        self.stop = Event()

    def run(self) -> None:
        """Raises NotSent or NoRoute for a film that cannot be delivered; those before it are delivered."""
        with exposing(self._cases, self._workers) as exposures:
            started_s = time.monotonic()
            for number, (case, exposed) in enumerate(exposures):
                if self._per_minute:
                    self.stop.wait(max(0.0, started_s + number * 60 / self._per_minute - time.monotonic()))
                if self.stop.is_set():
                    return
                self._send(case, exposed)

    def _send(self, case: Case, exposed: Exposed | None) -> None:
        parcel = pack(case, exposed, self._run_name, lambda: datetime.now().astimezone())
        tries, parcel = self._deliver(case, parcel)
        if case.again:
            tries += self._deliver(case, parcel)[0]
        if self._thumbs and parcel.thumbnail:
            (self._thumbs / f"{case.case_id}.jpg").write_bytes(parcel.thumbnail)
        sent = _sent(case, parcel, tries)
        self._manifest.add(sent)
        self._told(sent)

    def _deliver(self, case: Case, parcel: Parcel) -> tuple[int, Parcel]:
        """How many tries it took, and the parcel with the way it took in the end."""
        if parcel.way is Way.C_STORE and self._route.address:
            try:
                return store(parcel, self._route.address, stop=self.stop), parcel
            except Declined:
                if self._route.folder is None:
                    raise
        if self._route.folder is None:
            raise NoRoute(f"{case.case_id} can only travel as a file; name the box's folder with --folder")
        drop(parcel, self._route.folder, case.case_id)
        return 1, replace(parcel, way=Way.FOLDER_AS_IS) if parcel.way is Way.C_STORE else parcel


def send_all(cases: Sequence[Case], route: Route, manifest: Path, *, run_name: str, per_minute: float | None) -> None:
    """Send all cases, saying a line for each. Raises NotSent or NoRoute."""
    teller = Teller()
    done: list[Sent] = []

    def told(film: Sent) -> None:
        done.append(film)
        teller.step(len(done), len(cases), f"{film.case_id} by {film.way}")

    Modality(cases, route, Manifest(manifest), run_name=run_name, per_minute=per_minute, told=told).run()


def _sent(case: Case, parcel: Parcel, tries: int) -> Sent:
    ids = parcel.ids
    judged = case.kind is Kind.CHEST
    invented = judged and case.label is None
    label = int(np.random.default_rng([case.seed, 9]).integers(2)) if invented else case.label
    return Sent(
        case_id=case.case_id,
        kind=case.kind.value,
        way=parcel.way.value,
        finding=case.finding.value if case.source is None else "",
        label=label,
        invented=invented,
        patient_id=ids.patient_id if ids else "",
        accession_number=ids.accession if ids else "",
        study_instance_uid=ids.study_uid if ids else "",
        sop_instance_uid=parcel.sop_uid or "",
        content_sha256=parcel.content_sha256,
        answered_at=datetime.now(UTC),
        tries=tries,
        times_sent=2 if case.again else 1,
        source=case.source.name if case.source else "",
    )
