"""Send: nothing is given up before the receiver has said Success, and nobody sees half a file."""

from __future__ import annotations

import threading

import pytest
from pynetdicom import AE, evt

from sim.modality.send import (
    Address,
    Declined,
    NotSent,
    drop,
    store,
)
from tests.sim.modality.test_images import packed

# pynetdicom leaves the socket of a refused connection to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

STOP = threading.Event()


@pytest.fixture
def receiver():
    """A receiver that answers with the statuses it is given, then Success. Its port and what it took."""
    servers = []

    def start(*statuses, contexts=("1.2.840.10008.5.1.4.1.1.1.1",)):
        answers, taken = list(statuses), []

        def on_store(event):
            taken.append(event.request.AffectedSOPInstanceUID)
            return answers.pop(0) if answers else 0x0000

        ae = AE(ae_title="PNEUMOFLAG")
        for context in contexts:
            ae.add_supported_context(context, "1.2.840.10008.1.2.1")
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, on_store)])
        servers.append(server)
        return Address(host="127.0.0.1", port=server.server_address[1]), taken

    yield start
    for server in servers:
        server.shutdown()


def test_it_sends_again_until_success(receiver):
    address, taken = receiver(0xA700, 0xA700)
    assert store(packed(), address, stop=STOP) == 3
    assert taken == [packed().sop_uid] * 3


def test_it_gives_up_in_the_end_and_says_what_was_answered(receiver):
    address, _ = receiver(*[0xA700] * 50)
    with pytest.raises(NotSent, match="0xA700"):
        store(packed(), address, stop=STOP, give_up_s=0.3)


def test_it_says_when_nobody_listens():
    with pytest.raises(NotSent, match="no association"):
        store(packed(), Address(host="127.0.0.1", port=9), stop=STOP, give_up_s=0.2)


def test_what_will_never_be_taken_is_not_sent_for_ever(receiver):
    address, taken = receiver(contexts=("1.2.840.10008.1.1",))
    with pytest.raises(Declined):
        store(packed(), address, stop=STOP)
    assert not taken


def test_cannot_understand_is_final(receiver):
    address, taken = receiver(0xC000)
    with pytest.raises(Declined):
        store(packed(), address, stop=STOP)
    assert len(taken) == 1


def test_a_dropped_file_appears_whole(tmp_path):
    place = drop(packed(), tmp_path / "in", "case-1")
    assert place.read_bytes() == packed().data
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["case-1.dcm"]
