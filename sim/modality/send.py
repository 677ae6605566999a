"""Send: a parcel and an address come in; the receiver's Success goes out, however long it takes."""

from __future__ import annotations

import logging
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Event
from typing import Any

from pynetdicom import AE, _config

from sim.modality.images import Parcel

SUCCESS = 0x0000
_FOR_GOOD = frozenset({0xA9, *range(0xC0, 0xD0)})
"""Data set does not match, cannot understand (PS3.4 B.2.3): the same bytes will not do better."""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 5.0
_PDU_BYTES = 131_072


class NotSent(Exception):
    """The receiver never said Success; the words say what it said instead."""


class Declined(NotSent):
    """The receiver wants no such object: asking again changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a DICOM receiver listens."""

    host: str
    port: int
    ae_title: str = "PNEUMOFLAG"
    calling: str = "SIM_GC85A"


def store(parcel: Parcel, address: Address, *, stop: Event, give_up_s: float = 120.0) -> int:
    """C-STORE until Success, with back-off and jitter. Returns how many tries it took; raises NotSent, Declined."""
    # pynetdicom reports every refused connection as an error; here they are expected.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    # Send the file's own bytes: a film of one's own may have faults that a decoder would mend or choke on.
    _config.STORE_SEND_CHUNKED_DATASET = True
    end_s = time.monotonic() + give_up_s
    wait_s, tries, answer = _FIRST_WAIT_S, 0, "nothing"
    with NamedTemporaryFile(suffix=".dcm") as file:
        file.write(parcel.data)
        file.flush()
        while time.monotonic() < end_s and not stop.is_set():
            tries += 1
            answer = _try_once(Path(file.name), parcel, address)
            if answer == "Success":
                return tries
            stop.wait(wait_s * random.uniform(0.7, 1.3))  # noqa: S311 - jitter
            wait_s = min(_LONGEST_WAIT_S, wait_s * 1.7)
    raise NotSent(f"{address.host}:{address.port} answered {answer} in {tries} tries; is the box running there?")


def _try_once(file: Path, parcel: Parcel, address: Address) -> str:
    ae = AE(ae_title=address.calling)
    ae.maximum_pdu_size = _PDU_BYTES
    ae.acse_timeout, ae.dimse_timeout, ae.network_timeout, ae.connection_timeout = 5, 30, 30, 3
    ae.add_requested_context(parcel.sop_class, parcel.transfer_syntax)
    association = ae.associate(address.host, address.port, ae_title=address.ae_title)
    if not association.is_established:
        if association.rejected_contexts:
            raise Declined(f"{address.ae_title} takes no {parcel.sop_class} in {parcel.transfer_syntax}")
        return "no association"
    try:
        status = association.send_c_store(file)
    except (ValueError, RuntimeError, AttributeError, KeyError) as error:
        raise Declined(f"cannot be sent as it is: {error}") from None
    finally:
        _leave(association)
    return _said(status.get("Status") if status else None)


def _said(code: int | None) -> str:
    if code is None:
        return "nothing"
    if code >> 8 in _FOR_GOOD:
        raise Declined(f"status 0x{code:04X}")
    return "Success" if code == SUCCESS else f"status 0x{code:04X}"


def _leave(association: Any) -> None:
    if association.is_established:
        association.release()


def drop(parcel: Parcel, folder: Path, name: str) -> Path:
    """Put a file into a watched folder: written aside, then renamed, so that nobody sees half of it."""
    folder.mkdir(parents=True, exist_ok=True)
    aside, place = folder / f".{name}.part", folder / f"{name}{parcel.suffix}"
    with aside.open("wb") as file:
        file.write(parcel.data)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(place)
    return place
