"""Delivery: an exposure is sent until the receiver answers Success, and nobody sees half a file."""

from __future__ import annotations

import threading

import pytest
from pynetdicom import AE, evt

from sim.modality.send import (
    Address,
    Declined,
    NotSent,
    c_store,
    write_to_folder,
)
from tests.sim.modality.test_images import payload_of

# pynetdicom leaves the socket of a refused connection to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

STOP = threading.Event()


@pytest.fixture
def receiver():
    """Start a receiver that answers with the given statuses, then Success; return its address and what it received."""
    servers = []

    def start(*statuses, contexts=("1.2.840.10008.5.1.4.1.1.1.1",)):
        answers, received = list(statuses), []

        def on_store(event):
            received.append(event.request.AffectedSOPInstanceUID)
            return answers.pop(0) if answers else 0x0000

        ae = AE(ae_title="PNEUMOFLAG")
        for context in contexts:
            ae.add_supported_context(context, "1.2.840.10008.1.2.1")
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, on_store)])
        servers.append(server)
        return Address(host="127.0.0.1", port=server.server_address[1]), received

    yield start
    for server in servers:
        server.shutdown()


def test_it_sends_again_until_success(receiver):
    address, received = receiver(0xA700, 0xA700)
    assert c_store(payload_of(), address, stop=STOP) == 3
    assert received == [payload_of().sop_uid] * 3


def test_it_gives_up_in_the_end_and_reports_the_last_answer(receiver):
    address, _ = receiver(*[0xA700] * 50)
    with pytest.raises(NotSent, match="0xA700"):
        c_store(payload_of(), address, stop=STOP, give_up_s=0.3)


def test_it_reports_that_nobody_listens():
    with pytest.raises(NotSent, match="no association"):
        c_store(payload_of(), Address(host="127.0.0.1", port=9), stop=STOP, give_up_s=0.2)


def test_what_will_never_be_accepted_is_not_sent_again(receiver):
    address, received = receiver(contexts=("1.2.840.10008.1.1",))
    with pytest.raises(Declined):
        c_store(payload_of(), address, stop=STOP)
    assert not received


def test_cannot_understand_is_final(receiver):
    address, received = receiver(0xC000)
    with pytest.raises(Declined):
        c_store(payload_of(), address, stop=STOP)
    assert len(received) == 1


def test_a_file_appears_in_the_folder_only_when_it_is_complete(tmp_path):
    path = write_to_folder(payload_of(), tmp_path / "in", "case-1")
    assert path.read_bytes() == payload_of().data
    assert [entry.name for entry in (tmp_path / "in").iterdir()] == ["case-1.dcm"]
