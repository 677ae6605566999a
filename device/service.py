"""Build and run a box from its settings, each part in a thread of its own."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from console.errors import ExpectedError
from device.board.server import BoardServer
from device.bundle.loader import (
    Bundle,
    BundleError,
    load_bundle,
    trusted_keys,
)
from device.bundle.slots import UpdateError, roll_back
from device.config import MIB, DeviceConfig
from device.contract import Topics, load_site_key
from device.delivery.outbox import Outbox, OutboxFull
from device.delivery.publisher import Publisher
from device.host import clock
from device.host.alarms import Alarms
from device.host.health import Counters, Health, Heartbeats
from device.inference.classifier import Classifier
from device.intake.sandbox import Sandbox
from device.pipeline.exposure import ExposureClassifier, SiteIdentity
from device.pipeline.loop import Pipeline
from device.pipeline.processor import ExposureProcessor
from device.receive.dicom_server import DicomReceiver
from device.receive.folder import FolderReceiver
from device.receive.spool import Spool

log = logging.getLogger(__name__)


class BoxError(ExpectedError):
    """The box cannot start; the message names the cause and the remedy."""


class Box:
    """Everything that `pneumoflag-device run` runs. Building it opens, loads and binds; `start` lets exposures flow.

    Raises BoxError, ContractError (site key), BundleError, BackendUnavailable, OutboxBroken, BoardError.
    """

    def __init__(self, config: DeviceConfig, *, publisher_type: type[Publisher] = Publisher) -> None:
        self.config = config
        self.stop_event = threading.Event()
        self.failed_thread: str | None = None
        self._threads: list[threading.Thread] = []
        self._alarms, self._beats = Alarms(), Heartbeats()
        with ExitStack() as stack:
            self._stack = stack
            self._open(config, publisher_type)
            self._stack = stack.pop_all()

    def _open(self, config: DeviceConfig, publisher_type: type[Publisher]) -> None:
        key = load_site_key(config.site_key_file)
        self._folder = config.storage.data_dir
        self._stack.enter_context(_data_folder_lock(self._folder))
        self.outbox = Outbox(self._folder / "outbox.sqlite", ballast_bytes=config.storage.ballast_mib * MIB)
        self._stack.callback(self.outbox.close)
        self._spool = Spool(self._folder / "spool", reserve_bytes=config.storage.reserve_mib * MIB)
        self._dicom = self._bind() if config.dicom.enabled else None
        bundle = self._load()
        sandbox = Sandbox(config.gate, bundle.ages, config.limits)
        self._stack.callback(sandbox.close)
        self._model_note = "released" if bundle.manifest.released else "a trial, not released"
        self._classifier = Classifier(bundle, backend=config.model.backend, threads=config.model.threads)
        # The worker has been starting meanwhile. Preparing nothing waits for it, so that the first exposure need not.
        sandbox.prepare(Path(os.devnull))
        log.info("model_loaded", extra={"model": bundle.model.name, "version": bundle.model.version})
        self.topics = Topics(site=config.site, device=config.device)
        identity = SiteIdentity(site=config.site, device=config.device, boot_id=clock.boot_id(), key=key)
        self.publisher = publisher_type(
            self.outbox,
            topics=self.topics,
            broker=config.broker,
            limits=config.outbox,
            alarms=self._alarms,
            model=self._classifier.model,
        )
        classifier = ExposureClassifier(
            preparer=sandbox, network=self._classifier, identity=identity, clock=clock.read_clock
        )
        self._pipeline = Pipeline(
            self._spool, self.outbox, ExposureProcessor(classifier), self._alarms, on_put=self.publisher.wake
        )

    def start(self) -> dict[str, str | int | None]:
        """Let exposures flow; return where the box listens, as `ports.json` in the data folder does."""
        board = self._start_board()
        self._start_thread("publisher", self.publisher.run)
        self._start_thread("pipeline", self._pipeline.run)
        folder = self.config.folder
        if folder.path is not None:
            limit = self.config.limits.max_file_bytes
            receiver = FolderReceiver(folder.path, folder, self._spool, self._alarms, max_file_bytes=limit)
            self._start_thread("folder", receiver.run)
        if self._dicom:
            self._dicom.start()
        ports = {"pid": os.getpid(), "dicom": self._dicom.port if self._dicom else None, "board": board}
        self._write_ports(json.dumps(ports))
        # Last, for it tells systemd that all is ready.
        self._start_thread("health", self._health().run)
        return ports

    def stop(self) -> None:
        """Accept no more exposures, finish the current one, sign off at the broker, close everything."""
        self.stop_event.set()
        self._spool.close()
        self.publisher.wake()
        for thread in self._threads:
            thread.join(timeout=30)
        self._stack.close()

    def _write_ports(self, text: str) -> None:
        """Write the file, or raise an alarm: even on a full disk the box must start, since delivery frees space."""
        path = self._folder / "ports.json"
        try:
            _write_whole(path, text)
        except OSError as error:
            self._alarms.set("ports_file", f"{path}: cannot be written ({error.strerror})")

    def _bind(self) -> DicomReceiver:
        dicom = self.config.dicom
        try:
            receiver = DicomReceiver(dicom, self._spool, self._alarms)
        except OSError as error:
            where = f"{dicom.host}:{dicom.port}"
            raise BoxError(f"{where}: cannot listen there ({error.strerror}); free it or set dicom.port") from None
        self._stack.callback(receiver.stop)
        return receiver

    def _load(self) -> Bundle:
        """Load the active bundle, or the previous one if only that is valid."""
        model = self.config.model
        try:
            return load_bundle(model.bundle, trusted_keys(model.trusted_keys))
        except BundleError as error:
            fault = error
        try:
            roll_back(model)
        except (UpdateError, BundleError):
            raise fault from None
        self._alarms.set("model_rolled_back", str(fault))
        return load_bundle(model.bundle, trusted_keys(model.trusted_keys))

    def _start_board(self) -> str | None:
        config = self.config.board
        if not config.enabled:
            return None
        board = BoardServer(
            config,
            self._folder / "outbox.sqlite",
            self._spool.root,
            title=f"{self.config.site} · {self.config.device}",
            model_note=self._model_note,
        )
        url = board.start()
        self._stack.callback(board.stop)
        return url

    def _health(self) -> Health:
        return Health(
            counters=self._counters,
            publish=lambda body: self.publisher.publish_latest(self.topics.health, body),
            housekeeping=self._housekeeping,
            heartbeats=self._beats,
            alarms=self._alarms,
            model=self._classifier.model,
            folder=self._folder,
            period_s=self.config.health_s,
        )

    def _counters(self) -> Counters:
        last_s = self._pipeline.last_exposure_s
        return Counters(
            spool_depth=self._spool.depth,
            outbox_depth=self.outbox.depth(),
            dead_letters=self.outbox.dead_letters(),
            last_seq=self.outbox.last_seq(),
            last_film_age_s=None if last_s is None else round(time.monotonic() - last_s, 1),
            broker_online=self.publisher.online,
        )

    def _housekeeping(self) -> None:
        self._prune()
        if self._classifier.fell_back:
            self._alarms.set("backend_fell_back", f"{self.config.model.backend} failed, the CPU took over")
        if self.outbox.dead_letters():
            self._alarms.set("dead_letters", f"{self.outbox.dead_letters()} results could not be sent")

    def _prune(self) -> None:
        try:
            self.outbox.prune(now=clock.utc_now(), keep_days=self.config.storage.history_days)
        except OutboxFull as error:
            self._alarms.set("not_pruned", f"old flags stay on the board for now: {error}")
        else:
            self._alarms.clear("not_pruned")

    def _start_thread(self, name: str, run: Callable[[threading.Event, Callable[[], None]], None]) -> None:
        thread = threading.Thread(target=run, args=(self.stop_event, self._beats.of(name)), name=f"box-{name}")
        thread.daemon = True
        self._threads.append(thread)
        thread.start()


@contextmanager
def _data_folder_lock(folder: Path) -> Iterator[None]:
    """Create the data folder and lock it for this process: two boxes on it would publish exposures twice."""
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = stack.enter_context((folder / "lock").open("w", encoding="ascii"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BoxError(f"{folder}: in use by another box; stop it or set storage.data_dir") from None
        except OSError as error:
            remedy = "make it writable or set storage.data_dir"
            raise BoxError(f"{folder}: cannot be written ({error.strerror}); {remedy}") from None
        yield


def _write_whole(path: Path, text: str) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(text, encoding="utf-8")
    temporary.rename(path)
