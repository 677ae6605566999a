"""DICOM stream: PDUs of an untrusted peer come in; bytes in the spool go out, at most one PDU at a time in memory.

pynetdicom buffers whatever a peer announces before the peer has identified itself. Here each PDU has
a size and a deadline, and the data set goes to disk as it arrives, undecoded, behind file meta information of our own.
"""

from __future__ import annotations

import logging
import socket
import struct
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage

from device.contract import Source
from device.receive.spool import Spool, SpoolFull, SpoolWriter

log = logging.getLogger(__name__)

SUCCESS, OUT_OF_RESOURCES, MISMATCH, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xA900, 0xC000
MAX_COMMAND_BYTES = 65536
MAX_QUEUED_MESSAGES = 16
UID_BYTES = 64
IMPLEMENTATION_UID = "2.25.302014126423316148186152066543927154123"


class BoundedReader:
    """`recv` of one connection: at most `max_bytes` at a time, each within `deadline_s`."""

    def __init__(self, connection: socket.socket, *, max_bytes: int, deadline_s: float) -> None:
        self._connection, self._max_bytes, self._deadline_s = connection, max_bytes, deadline_s
        connection.settimeout(deadline_s)

    def recv(self, count: int) -> bytearray:
        """Return `count` bytes, or fewer if the peer has closed. Raises OSError (too many), TimeoutError (too slow)."""
        if count > self._max_bytes:
            raise OSError(f"PDU of {count} bytes announced, {self._max_bytes} allowed")
        data, got = bytearray(count), 0
        end_s = time.monotonic() + self._deadline_s
        while got < count:
            self._connection.settimeout(max(0.001, end_s - time.monotonic()))
            read = self._connection.recv_into(memoryview(data)[got:])
            if not read:
                break
            got += read
        self._connection.settimeout(self._deadline_s)
        return data if got == count else data[:got]


class Incoming(BytesIO):
    """A buffer for pynetdicom: an exposure on its way to the spool, or the reason why it is refused."""

    def __init__(self, spool: Spool, *, max_bytes: int, head: Callable[[], bytes | None]) -> None:
        super().__init__()
        self._spool, self._max_bytes, self._head = spool, max_bytes, head
        self._writer: SpoolWriter | None = None
        self._first_s = self._last_s = 0.0
        self._refusal: tuple[int, str] | None = None

    def write(self, data: Any) -> int:
        """Append to the exposure. After a refusal the rest is discarded; the peer gets the status at the end."""
        self._last_s = time.monotonic()
        self._first_s = self._first_s or self._last_s
        if self._refusal is None:
            try:
                self._spool_on(data)
            except SpoolFull as error:
                self.refuse(OUT_OF_RESOURCES, str(error))
            except OSError as error:
                self.refuse(OUT_OF_RESOURCES, f"the spool cannot be written ({error.strerror})")
        return len(data)

    def refuse(self, status: int, reason: str) -> None:
        """Keep nothing, and answer the peer with `status` at the end."""
        self._refusal = (status, reason)
        self.drop()

    def finish(self) -> tuple[int, str]:
        """Make the exposure durable. Returns the C-STORE status and a text for the log."""
        if self._refusal:
            return self._refusal
        if self._writer is None:
            return NOT_UNDERSTOOD, "no data set"
        try:
            self._writer.commit(source=Source.DICOM, receive_ms=(self._last_s - self._first_s) * 1000)
        except SpoolFull as error:
            return OUT_OF_RESOURCES, str(error)
        except OSError as error:
            return OUT_OF_RESOURCES, f"the spool cannot be written ({error.strerror})"
        return SUCCESS, "spooled"

    def drop(self) -> None:
        """Forget what has not been made durable."""
        if self._writer:
            self._writer.abort()

    def __del__(self) -> None:
        self.drop()

    def _spool_on(self, data: bytes) -> None:
        if self._writer is None:
            self._begin()
        if self._writer is None:
            return
        if self._writer.size_bytes + len(data) > self._max_bytes:
            self.refuse(
                OUT_OF_RESOURCES, f"more than {self._max_bytes} bytes; raise dicom.max_object_bytes to allow it"
            )
            return
        self._writer.write(data)

    def _begin(self) -> None:
        head = self._head()
        if head is None:
            self.refuse(MISMATCH, "not an exposure of an accepted presentation context")
            return
        self._writer = self._spool.open()
        self._writer.write(head)


class SpoolingDimse(DIMSEServiceProvider):  # type: ignore[misc]
    """pynetdicom's message assembly with the spool for a buffer and bounds on all the rest."""

    def __init__(self, assoc: Any, spool: Spool, *, max_object_bytes: int) -> None:
        super().__init__(assoc)
        self._spool, self._max_object_bytes = spool, max_object_bytes
        self.message: DIMSEMessage | None = None
        self._incoming: Incoming | None = None

    def receive_primitive(self, primitive: Any) -> None:
        """Process one P-DATA; abort the association of a peer that floods."""
        if self.message is None:
            message = DIMSEMessage()
            self._incoming = Incoming(
                self._spool, max_bytes=self._max_object_bytes, head=lambda: _file_head(message, self.assoc)
            )
            message.data_set = self._incoming
            self.message = message
        flooded = self.message.encoded_command_set.tell() > MAX_COMMAND_BYTES
        if flooded or self.msg_queue.qsize() > MAX_QUEUED_MESSAGES:
            log.warning("association_flooded")
            self.dul.event_queue.put("Evt19")
            return
        super().receive_primitive(primitive)
        if self.message is None:
            self._incoming = None  # complete: whoever serves the message owns it now

    def drop(self) -> None:
        """Forget an incomplete exposure, because the connection is gone."""
        if self._incoming:
            self._incoming.drop()


def _file_head(message: Any, assoc: Any) -> bytes | None:
    context = assoc._accepted_cx.get(message.context_id)  # noqa: SLF001 - pynetdicom offers no other way
    if context is None or not isinstance(message, C_STORE_RQ):
        return None
    command = message.command_set
    return file_head(
        sop_class=str(command.get("AffectedSOPClassUID", "")),
        sop_instance=str(command.get("AffectedSOPInstanceUID", "")),
        transfer_syntax=str(context.transfer_syntax[0]),
    )


def file_head(*, sop_class: str, sop_instance: str, transfer_syntax: str) -> bytes:
    """Return preamble, prefix and file meta information (PS3.10, 7.1), explicit VR little endian.

    UIDs are copied as the peer sent them, at most 64 bytes: they name nothing but themselves.
    """
    meta = b"".join(
        (
            struct.pack("<HH2sHI", 2, 1, b"OB", 0, 2) + b"\0\1",
            _uid(0x02, sop_class),
            _uid(0x03, sop_instance),
            _uid(0x10, transfer_syntax),
            _uid(0x12, IMPLEMENTATION_UID),
        )
    )
    return bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta)) + meta


def _uid(element: int, value: str) -> bytes:
    text = value.encode("ascii", "replace")[:UID_BYTES]
    text += b"\0" * (len(text) % 2)
    return struct.pack("<HH2sH", 2, element, b"UI", len(text)) + text
