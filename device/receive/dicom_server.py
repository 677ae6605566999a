"""DICOM receiver: C-STORE comes in; exposures in the spool go out, and only then Success.

It accepts every storage class in every usual transfer syntax, so that what is not a chest exposure is answered with a
reason by the gate instead of with an error at the modality. Storage commitment is declined: the box is a second
destination and no modality may delete an exposure on its word.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import Any, Self

from pynetdicom import AE, AllStoragePresentationContexts, _config, evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from device.config import DicomConfig
from device.host.alarms import Alarms
from device.receive.dimse import (
    NOT_UNDERSTOOD,
    OUT_OF_RESOURCES,
    SUCCESS,
    BoundedReader,
    Incoming,
    SpoolingDimse,
)
from device.receive.spool import Spool

log = logging.getLogger(__name__)

_DECODED = (
    ".1",  # explicit VR, little endian
    "",  # implicit VR
    ".2",  # big endian
    ".1.99",  # deflated
    ".5",  # RLE
    ".4.70",  # JPEG lossless, first-order prediction
    ".4.57",  # JPEG lossless
    ".4.80",  # JPEG-LS lossless
    ".4.201",  # HTJ2K lossless
    ".4.202",  # HTJ2K lossless, RPCL
    ".4.90",  # JPEG 2000 lossless
    ".4.203",  # HTJ2K
    ".4.81",  # JPEG-LS near lossless
    ".4.91",  # JPEG 2000
    ".4.50",  # JPEG baseline
    ".4.51",  # JPEG extended
    ".4.92",  # JPEG 2000 multi-component lossless
    ".4.93",  # JPEG 2000 multi-component
)
"""Where a peer offers several, the first of these is taken: what decodes fastest."""
_VIDEO = tuple(f".4.{number}" for number in range(100, 109))
"""MPEG and HEVC: accepted, and answered with `unsupported_transfer_syntax`."""
TRANSFER_SYNTAXES = [f"1.2.840.10008.1.2{leaf}" for leaf in _DECODED + _VIDEO]
FIRST_PDU_S = 5.0
"""A connection that stays silent this long is closed: an idle one costs two threads."""
UNIDENTIFIED_CONNECTIONS = 32
MAX_ASSOCIATE_BYTES = 256 * 1024
GRACE_S = 3.0


class DicomReceiver:
    """The listener. The port is bound when this returns (OSError when it is taken); exposures flow after `start`."""

    def __init__(
        self, config: DicomConfig, spool: Spool, alarms: Alarms, *, max_object_bytes: int | None = None
    ) -> None:
        self._config, self._spool, self._alarms = config, spool, alarms
        # Its own log lines would carry what untrusted peers sent.
        _config.LOG_HANDLER_LEVEL = "none"
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
        ae = AE(ae_title=config.ae_title)
        ae.require_calling_aet = list(config.calling_ae_titles)
        ae.maximum_pdu_size = config.max_pdu_bytes
        ae.maximum_associations = 10_000  # ours to count: pynetdicom counts connections that never said who they are
        ae.acse_timeout = FIRST_PDU_S
        ae.dimse_timeout = ae.network_timeout = config.idle_s
        self._server = ae.make_server(
            (config.host, config.port),
            contexts=_contexts(),
            evt_handlers=[
                (evt.EVT_C_STORE, self._on_store),
                (evt.EVT_C_ECHO, lambda _: SUCCESS),
                (evt.EVT_REQUESTED, self._on_requested),
                (evt.EVT_CONN_CLOSE, self._on_closed),
            ],
            server_class=_Server,
            request_handler=_handler(config, spool, max_object_bytes or config.max_object_bytes),
        )
        self._server.max_connections = config.max_associations + UNIDENTIFIED_CONNECTIONS
        ae._servers.append(self._server)  # noqa: SLF001 - its shutdown takes itself off this list
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="dicom", daemon=True)

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Accept associations."""
        self._thread.start()

    def stop(self) -> None:
        """Accept no more, give transfers under way a few seconds to finish, and abort the rest."""
        if not self._thread.is_alive():
            self._server.server_close()  # bound, but never started
            return
        self._server.shutdown()
        end_s = time.monotonic() + GRACE_S
        while time.monotonic() < end_s and any(a.is_established for a in self._server.active_associations):
            time.sleep(0.02)
        for association in self._server.active_associations:
            _hang_up(association)

    def _on_requested(self, event: Any) -> None:
        established = sum(a.is_established for a in self._server.active_associations)
        if established >= self._config.max_associations:
            log.warning("association_refused", extra={"established": established})
            event.assoc.acse.send_reject(0x02, 0x03, 0x02)  # transient, local limit exceeded
            event.assoc.kill()

    def _on_store(self, event: Any) -> int:
        incoming = event.request.DataSet
        status, reason = incoming.finish() if isinstance(incoming, Incoming) else (NOT_UNDERSTOOD, "no data set")
        if status == SUCCESS:
            self._alarms.clear("exposure_refused")
            return status
        log.warning("exposure_refused", extra={"status": f"0x{status:04X}", "why": reason})
        if status == OUT_OF_RESOURCES:
            self._alarms.set("exposure_refused", reason)
        return status

    def _on_closed(self, event: Any) -> None:
        event.assoc.dimse.drop()
        event.assoc.connection.close()  # pynetdicom leaves it open when the peer was gone first


class _Server(ThreadedAssociationServer):  # type: ignore[misc]
    """Closes the oldest silent connection when the limit is reached, so that idle ones keep nobody out."""

    daemon_threads = True
    request_queue_size = 64
    max_connections = 64

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - socketserver's signature
        """Make way for a connection; refuse it if all others are established associations."""
        living = [a for a in self.active_associations if a.is_alive()]
        if len(living) < self.max_connections:
            return True
        silent = [a for a in living if not a.is_established]
        if silent:
            _hang_up(min(silent, key=lambda a: float(a.born_s)))
        return bool(silent)


class _Contexts(list[Any]):
    """pynetdicom deep-copies the contexts for each association, 90 ms for these; nothing ever changes them."""

    def __deepcopy__(self, memo: object) -> Self:
        return self


def _contexts() -> _Contexts:
    storage = [build_context(c.abstract_syntax, TRANSFER_SYNTAXES) for c in AllStoragePresentationContexts]
    return _Contexts([*storage, build_context(Verification)])


def _handler(config: DicomConfig, spool: Spool, max_object_bytes: int) -> type:
    class Handler(RequestHandler):  # type: ignore[misc]
        """Sets the limits of each new connection."""

        def _create_association(self) -> Any:
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            association = super()._create_association()
            reader = BoundedReader(
                self.request, max_bytes=max(config.max_pdu_bytes, MAX_ASSOCIATE_BYTES), deadline_s=config.idle_s
            )
            association.dul.socket.recv = reader.recv
            association.dimse = SpoolingDimse(association, spool, max_object_bytes=max_object_bytes)
            association.connection = self.request
            association.born_s = time.monotonic()
            # A silent peer must not hold up the end of the program; what was answered Success is on disk.
            association.daemon = association.dul.daemon = True
            return association

    return Handler


def _hang_up(association: Any) -> None:
    wrapped = association.dul.socket
    try:
        if wrapped and wrapped.socket:
            wrapped.socket.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it has hung up by itself
