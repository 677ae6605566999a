"""The modality: it sends exposures to the box, repeats each until the box has accepted it, and writes a manifest."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import numpy as np

from console.errors import UsageError
from sim.modality.cases import Case, CaseType, Transport
from sim.modality.images import AcquiredImage, Payload, make_payload
from sim.modality.manifest import Manifest, SentExposure
from sim.modality.render_ahead import rendered_images
from sim.modality.send import Address, Declined, c_store, write_to_folder
from sim.progress import ProgressReporter


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where exposures go. Without a folder everything is sent by C-STORE, and what cannot be is an error."""

    address: Address | None
    folder: Path | None


class NoDestination(UsageError):
    """An exposure cannot reach the box; the message says which option is missing."""


class Modality:
    """`run` makes and sends all cases.

    `on_sent` is called for each accepted exposure; the folder `thumbnails` gets a small JPEG of each.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        destination: Destination,
        manifest: Manifest,
        *,
        run_name: str,
        per_minute: float | None = None,
        workers: int = 1,
        thumbnails: Path | None = None,
        on_sent: Callable[[SentExposure], None] = lambda _: None,
    ) -> None:
        self._cases, self._destination, self._manifest = cases, destination, manifest
        self._run_name, self._per_minute, self._workers = run_name, per_minute, workers
        self._thumbnails, self._on_sent = thumbnails, on_sent
        self.stop = Event()

    def run(self) -> None:
        """Send everything. Raises NotSent or NoDestination for what cannot be delivered; what came before it is."""
        with rendered_images(self._cases, self._workers, self.stop) as images:
            started_s = time.monotonic()
            for number, (case, image) in enumerate(images):
                if self._per_minute:
                    self.stop.wait(max(0.0, started_s + number * 60 / self._per_minute - time.monotonic()))
                if self.stop.is_set():
                    return
                self._send(case, image)

    def _send(self, case: Case, image: AcquiredImage | None) -> None:
        payload = make_payload(case, image, self._run_name, lambda: datetime.now().astimezone())
        tries, payload = self._deliver(case, payload)
        if case.send_twice:
            tries += self._deliver(case, payload)[0]
        if self._thumbnails and payload.thumbnail:
            (self._thumbnails / f"{case.case_id}.jpg").write_bytes(payload.thumbnail)
        sent = _sent_exposure(case, payload, tries)
        self._manifest.add(sent)
        self._on_sent(sent)

    def _deliver(self, case: Case, payload: Payload) -> tuple[int, Payload]:
        """Return the number of tries, and the payload with the transport that worked."""
        by_c_store = payload.transport is Transport.C_STORE
        if by_c_store and self._destination.address:
            try:
                return c_store(payload, self._destination.address, stop=self.stop), payload
            except Declined:
                if self._destination.folder is None:
                    raise
        if self._destination.folder is None:
            raise NoDestination(f"{case.case_id}: can only be sent as a file; name the box's folder with --folder")
        write_to_folder(payload, self._destination.folder, case.case_id)
        return 1, replace(payload, transport=Transport.FOLDER_AS_IS) if by_c_store else payload


def send_all(
    cases: Sequence[Case], destination: Destination, manifest: Path, *, run_name: str, per_minute: float | None
) -> None:
    """Send all cases and print a line for each. Raises NotSent or NoDestination."""
    reporter = ProgressReporter()
    done = 0

    def report(sent: SentExposure) -> None:
        nonlocal done
        done += 1
        reporter.step(done, len(cases), f"{sent.case_id} by {sent.transport}")

    Modality(cases, destination, Manifest(manifest), run_name=run_name, per_minute=per_minute, on_sent=report).run()


def _sent_exposure(case: Case, payload: Payload, tries: int) -> SentExposure:
    identifiers = payload.identifiers
    invented = case.case_type is CaseType.CHEST and case.label is None
    label = int(np.random.default_rng([case.seed, 9]).integers(2)) if invented else case.label
    return SentExposure(
        case_id=case.case_id,
        case_type=case.case_type.value,
        transport=payload.transport.value,
        finding=case.finding.value if case.source is None else "",
        label=label,
        invented=invented,
        patient_id=identifiers.patient_id if identifiers else "",
        accession_number=identifiers.accession if identifiers else "",
        study_instance_uid=identifiers.study_uid if identifiers else "",
        sop_instance_uid=payload.sop_uid or "",
        content_sha256=payload.content_sha256,
        answered_at=datetime.now(UTC),
        tries=tries,
        times_sent=2 if case.send_twice else 1,
        source=case.source.name if case.source else "",
    )
