"""Delivery to the box: by C-STORE until the receiver answers Success, or as a file of a watched folder."""

from __future__ import annotations

import logging
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Event

from pynetdicom import AE, _config

from console.errors import ExpectedError
from sim.modality.images import Payload

SUCCESS = 0x0000
_PERMANENT_FAILURES = frozenset({0xA9, *range(0xC0, 0xD0)})
"""High bytes of "data set does not match" and "cannot understand" (PS3.4 B.2.3): sending again changes nothing."""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 5.0
_PDU_BYTES = 131_072


class NotSent(ExpectedError):
    """The receiver never answered Success; the message holds its last answer."""


class Declined(NotSent):
    """The receiver does not accept such an object: sending it again changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a DICOM receiver listens."""

    host: str
    port: int
    ae_title: str = "PNEUMOFLAG"
    calling: str = "SIM_GC85A"


def c_store(payload: Payload, address: Address, *, stop: Event, give_up_s: float = 120.0) -> int:
    """Send until the answer is Success, with back-off and jitter; return the number of tries.

    Raises NotSent when `give_up_s` is over or `stop` is set, Declined when the receiver will never accept it.
    """
    # pynetdicom reports every refused connection as an error; here they are expected.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    # Send the file's own bytes: a decoder might repair the faults of a user's file, or fail on them.
    _config.STORE_SEND_CHUNKED_DATASET = True
    end_s = time.monotonic() + give_up_s
    wait_s, tries, answer = _FIRST_WAIT_S, 0, "nothing"
    with NamedTemporaryFile(suffix=".dcm") as file:
        file.write(payload.data)
        file.flush()
        while time.monotonic() < end_s and not stop.is_set():
            tries += 1
            answer = _try_once(Path(file.name), payload, address)
            if answer == "Success":
                return tries
            stop.wait(wait_s * random.uniform(0.7, 1.3))  # noqa: S311 - jitter
            wait_s = min(_LONGEST_WAIT_S, wait_s * 1.7)
    raise NotSent(f"{address.host}:{address.port} answered {answer} in {tries} tries; is the box running there?")


def _try_once(file: Path, payload: Payload, address: Address) -> str:
    """Return the answer in words; raise Declined when it is final."""
    ae = AE(ae_title=address.calling)
    ae.maximum_pdu_size = _PDU_BYTES
    ae.acse_timeout, ae.dimse_timeout, ae.network_timeout, ae.connection_timeout = 5, 30, 30, 3
    ae.add_requested_context(payload.sop_class, payload.transfer_syntax)
    association = ae.associate(address.host, address.port, ae_title=address.ae_title)
    if not association.is_established:
        if association.rejected_contexts:
            raise Declined(f"{address.ae_title} does not accept {payload.sop_class} in {payload.transfer_syntax}")
        return "no association"
    try:
        response = association.send_c_store(file)
    except (ValueError, RuntimeError, AttributeError, KeyError) as error:
        raise Declined(f"cannot be sent as it is: {error}") from None
    finally:
        if association.is_established:
            association.release()
    status = response.get("Status") if response else None
    if status is None:
        return "nothing"
    if status >> 8 in _PERMANENT_FAILURES:
        raise Declined(f"status 0x{status:04X}")
    return "Success" if status == SUCCESS else f"status 0x{status:04X}"


def write_to_folder(payload: Payload, folder: Path, name: str) -> Path:
    """Put a file into a watched folder: written under another name, then renamed, so that nobody reads half of it."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished, path = folder / f".{name}.part", folder / f"{name}{payload.suffix}"
    with unfinished.open("wb") as file:
        file.write(payload.data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    return path
