from __future__ import annotations

import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from shutil import which

import pydicom
import pytest
from pynetdicom import AE, build_context
from pynetdicom.sop_class import StorageCommitmentPushModel

from device.config import DicomConfig
from device.host.alarms import Alarms
from device.receive.dicom_server import TRANSFER_SYNTAXES, DicomReceiver
from device.receive.dimse import file_head
from device.receive.spool import Spool
from tests.support.exposures import DX_PRESENTATION, dicom_bytes, write_exposure

CR, DX_PROCESSING = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1.1"
SECONDARY_CAPTURE, CT, DOSE_REPORT = (f"1.2.840.10008.5.1.4.1.1.{leaf}" for leaf in ("7", "2", "88.67"))


@contextmanager
def receiving(spool: Spool, alarms: Alarms | None = None, **settings: object) -> Iterator[DicomReceiver]:
    limit = settings.pop("max_object_bytes", None)
    receiver = DicomReceiver(DicomConfig(port=0, **settings), spool, alarms or Alarms(), max_object_bytes=limit)
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.stop()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", reserve_bytes=0)


def send(port: int, *bodies: bytes, calling: str = "MODALITY", syntaxes: list[str] | None = None) -> list[int]:
    """The status of each, by pynetdicom as the modality; raises ConnectionError when the association is refused."""
    datasets = [pydicom.dcmread(BytesIO(body), force=True) for body in bodies]
    ae = AE(ae_title=calling)
    for sop_class in dict.fromkeys(ds.SOPClassUID for ds in datasets):
        ae.add_requested_context(sop_class, syntaxes or [datasets[0].file_meta.TransferSyntaxUID])
    association = ae.associate("127.0.0.1", port, max_pdu=131072)
    if not association.is_established:
        raise ConnectionError("refused")
    try:
        return [association.send_c_store(ds).Status for ds in datasets]
    finally:
        association.release()


def wait_for(spool: Spool, count: int) -> list[bytes]:
    end_s = time.monotonic() + 5
    while spool.depth < count and time.monotonic() < end_s:
        time.sleep(0.01)
    return [results.path.read_bytes() for results in spool.pending()]


@pytest.mark.parametrize("sop_class", [DX_PRESENTATION, DX_PROCESSING, CR, SECONDARY_CAPTURE, CT, DOSE_REPORT])
def test_every_storage_class_is_taken_so_that_the_gate_can_say_why_not(spool: Spool, sop_class: str) -> None:
    with receiving(spool) as receiver:
        assert send(receiver.port, dicom_bytes(sop_class=sop_class)) == [0x0000]
    (body,) = wait_for(spool, 1)
    ds = pydicom.dcmread(BytesIO(body))
    assert (ds.SOPClassUID, ds.file_meta.MediaStorageSOPClassUID, ds.Rows) == (sop_class, sop_class, 64)


def test_the_spooled_bytes_are_the_senders_behind_a_clean_preamble(spool: Spool) -> None:
    sent = dicom_bytes(side=300)
    with receiving(spool, max_pdu_bytes=4096) as receiver:
        assert send(receiver.port, sent) == [0x0000]
    (body,) = wait_for(spool, 1)
    assert body[:132] == bytes(128) + b"DICM"
    assert body.endswith(pydicom.dcmread(BytesIO(sent)).PixelData)
    assert spool.pending()[0].receive_ms > 0


def test_an_exposure_of_a_single_pdu_took_no_negative_time(spool: Spool) -> None:
    with receiving(spool) as receiver:
        assert send(receiver.port, dicom_bytes()) == [0x0000]
    assert wait_for(spool, 1)
    assert spool.pending()[0].receive_ms >= 0


def test_the_file_meta_information_is_what_pydicom_reads_back() -> None:
    meta = pydicom.dcmread(
        BytesIO(file_head(sop_class=DX_PRESENTATION, sop_instance="1.2.3", transfer_syntax=TRANSFER_SYNTAXES[0]))
    ).file_meta
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (DX_PRESENTATION, "1.2.3")
    assert meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


@pytest.mark.parametrize("uid", ["../../../etc/cron.d/x", "/etc/passwd", "a" * 64, "1.2.3\n4", "%n%n%n"])
def test_a_hostile_instance_uid_reaches_no_path(spool: Spool, tmp_path: Path, uid: str) -> None:
    before = set(tmp_path.rglob("*"))
    with receiving(spool) as receiver:
        assert send(receiver.port, dicom_bytes(sop_instance=uid)) == [0x0000]
    (body,) = wait_for(spool, 1)
    assert set(tmp_path.rglob("*")) - before == {spool.pending()[0].path}
    assert uid.encode() in body


def test_a_full_disk_is_answered_out_of_resources_and_the_next_exposure_is_welcome_again(tmp_path: Path) -> None:
    alarms = Alarms()
    spool = Spool(tmp_path / "spool", reserve_bytes=1 << 60)
    with receiving(spool, alarms) as receiver:
        assert send(receiver.port, dicom_bytes(1), dicom_bytes(2)) == [0xA700, 0xA700]
        assert "exposure_refused" in alarms.active()
        spool._reserve_bytes = 0
        assert send(receiver.port, dicom_bytes(1)) == [0x0000]
        assert alarms.active() == {}
    assert len(list((tmp_path / "spool").iterdir())) == 1


def test_a_disk_that_fills_while_an_exposure_comes_in_is_answered_out_of_resources(small_disk: Path) -> None:
    spool = Spool(small_disk / "spool", reserve_bytes=0)
    with receiving(spool) as receiver:
        assert send(receiver.port, dicom_bytes(1, side=2000), dicom_bytes(2)) == [0xA700, 0x0000]
    assert [path.name for path in (small_disk / "spool").iterdir()] == [f.path.name for f in spool.pending()]


def test_an_exposure_above_the_limit_is_answered_out_of_resources_and_not_kept(spool: Spool) -> None:
    with receiving(spool, max_object_bytes=100_000) as receiver:
        assert send(receiver.port, dicom_bytes(1, side=300), dicom_bytes(2)) == [0xA700, 0x0000]
    assert len(wait_for(spool, 1)) == 1


def test_only_modalities_on_the_list_may_send(spool: Spool) -> None:
    with receiving(spool, calling_ae_titles=("GC85A", "GC85B")) as receiver:
        assert send(receiver.port, dicom_bytes(), calling="GC85B") == [0x0000]
        with pytest.raises(ConnectionError):
            send(receiver.port, dicom_bytes(), calling="UNLISTED")


def test_storage_commitment_is_declined_while_exposures_are_taken(spool: Spool) -> None:
    with receiving(spool) as receiver:
        ae = AE()
        ae.requested_contexts = [
            build_context(StorageCommitmentPushModel),
            build_context(DX_PRESENTATION, TRANSFER_SYNTAXES[:2]),
        ]
        association = ae.associate("127.0.0.1", receiver.port)
        assert [c.abstract_syntax for c in association.accepted_contexts] == [DX_PRESENTATION]
        association.release()


def test_of_several_transfer_syntaxes_it_takes_the_one_that_decodes_fastest(spool: Spool) -> None:
    with receiving(spool) as receiver:
        ae = AE()
        ae.add_requested_context(DX_PRESENTATION, ["1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2", TRANSFER_SYNTAXES[0]])
        association = ae.associate("127.0.0.1", receiver.port)
        assert association.accepted_contexts[0].transfer_syntax == ["1.2.840.10008.1.2.1"]
        association.release()


def test_an_association_that_breaks_off_leaves_nothing(spool: Spool) -> None:
    with receiving(spool) as receiver:
        ae = AE()
        ae.add_requested_context(DX_PRESENTATION, TRANSFER_SYNTAXES[0])
        association = ae.associate("127.0.0.1", receiver.port, max_pdu=4096)
        body = dicom_bytes(side=600)
        # The command and the first part of the data set, then silence and the end.
        command = (
            _element(0x0002, DX_PRESENTATION.encode() + b"\0")
            + _element(0x0100, b"\1\0")
            + _element(0x0110, b"\1\0")
            + _element(0x0700, b"\0\0")
            + _element(0x0800, b"\1\0")
            + _element(0x1000, b"1.2.3\0")
        )
        command = _element(0x0000, struct.pack("<I", len(command))) + command
        raw = association.dul.socket.socket
        raw.sendall(_p_data(3, command) + _p_data(0, body[400:3000]))
        until_temporary(spool)
        raw.shutdown(socket.SHUT_RDWR)
        end_s = time.monotonic() + 5
        while list(spool.root.iterdir()) and time.monotonic() < end_s:
            time.sleep(0.01)
        assert list(spool.root.iterdir()) == []
        association.abort()
        raw.close()


def until_temporary(spool: Spool) -> None:
    end_s = time.monotonic() + 5
    while not list(spool.root.iterdir()):
        assert time.monotonic() < end_s
        time.sleep(0.01)


def _element(tag: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0, tag, len(value)) + value


def _p_data(header: int, data: bytes) -> bytes:
    pdv = struct.pack(">IBB", len(data) + 2, 1, header) + data
    return struct.pack(">BBI", 4, 0, len(pdv)) + pdv


def test_a_pdu_that_announces_two_gigabytes_ends_the_connection_at_once(spool: Spool) -> None:
    with receiving(spool) as receiver, socket.create_connection(("127.0.0.1", receiver.port), timeout=5) as peer:
        peer.sendall(struct.pack(">BBI", 1, 0, 2**31 - 1) + b"x" * 100)
        assert ended(peer)


def test_a_connection_that_dribbles_its_first_pdu_is_ended(spool: Spool) -> None:
    with (
        receiving(spool, idle_s=0.5) as receiver,
        socket.create_connection(("127.0.0.1", receiver.port), timeout=5) as peer,
    ):
        peer.sendall(struct.pack(">BBI", 1, 0, 5000))
        started = time.monotonic()
        assert ended(peer)
        assert time.monotonic() - started < 3


def ended(peer: socket.socket) -> bool:
    """An abort PDU may come first."""
    try:
        while peer.recv(1024):
            pass
    except ConnectionResetError:
        pass
    except TimeoutError:
        return False
    return True


def test_sixty_idle_connections_keep_no_modality_out(spool: Spool) -> None:
    with receiving(spool, max_associations=2) as receiver:
        idle = [socket.create_connection(("127.0.0.1", receiver.port), timeout=5) for _ in range(60)]
        assert send(receiver.port, dicom_bytes()) == [0x0000]
        for peer in idle:
            peer.close()


def test_associations_beyond_the_limit_are_refused_for_the_moment(spool: Spool) -> None:
    with receiving(spool, max_associations=2) as receiver:
        ae = AE()
        ae.add_requested_context(DX_PRESENTATION)
        held = [ae.associate("127.0.0.1", receiver.port) for _ in range(2)]
        assert all(association.is_established for association in held)
        with pytest.raises(ConnectionError):
            send(receiver.port, dicom_bytes())
        held.pop().release()
        time.sleep(0.2)
        assert send(receiver.port, dicom_bytes()) == [0x0000]
        held.pop().release()


def test_a_port_in_use_is_an_error_at_once(spool: Spool) -> None:
    with receiving(spool) as receiver, pytest.raises(OSError, match="in use"):
        DicomReceiver(DicomConfig(port=receiver.port), spool, Alarms())


pytest_dcmtk = pytest.mark.dcmtk


def dcmtk(tool: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    program = which(tool)
    if not program:
        pytest.skip("Debian's dcmtk is missing: apt-get install dcmtk")
    return subprocess.run([program, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=60)


@pytest_dcmtk
def test_dcmtk_sees_its_echo_answered(spool: Spool) -> None:
    with receiving(spool) as receiver:
        assert dcmtk("echoscu", "-aec", "PNEUMOFLAG", "127.0.0.1", receiver.port).returncode == 0


@pytest_dcmtk
def test_dcmtk_stores_a_folder_of_exposures_in_one_association(spool: Spool, tmp_path: Path) -> None:
    paths = [write_exposure(tmp_path, n, side=500) for n in range(5)]
    with receiving(spool) as receiver:
        done = dcmtk("storescu", "-v", "127.0.0.1", receiver.port, *paths)
        assert done.returncode == 0, done.stderr
        assert (done.stdout + done.stderr).count("Received Store Response (Success)") == 5
    numbers = [pydicom.dcmread(BytesIO(body)).PatientID for body in wait_for(spool, 5)]
    assert numbers == [f"P{n}" for n in range(5)]


COMPRESSIONS = {
    "JPEG lossless": (["dcmcjpeg", "+e1"], "-xs", "1.2.840.10008.1.2.4.70"),
    "JPEG-LS": (["dcmcjpls"], "-xt", "1.2.840.10008.1.2.4.80"),
    "RLE": (["dcmcrle"], "-xr", "1.2.840.10008.1.2.5"),
    "big endian": (["dcmconv", "+tb"], "-xb", "1.2.840.10008.1.2.2"),
    "implicit": (["dcmconv", "+ti"], "-xi", "1.2.840.10008.1.2"),
    "deflated": (["dcmconv", "+td"], "-xd", "1.2.840.10008.1.2.1.99"),
}


@pytest_dcmtk
@pytest.mark.parametrize("name", COMPRESSIONS)
def test_dcmtk_stores_exposures_in_other_transfer_syntaxes_as_they_are(spool: Spool, tmp_path: Path, name: str) -> None:
    (tool, *options), proposal, syntax = COMPRESSIONS[name]
    plain, packed = write_exposure(tmp_path, 1), tmp_path / "packed.dcm"
    assert dcmtk(tool, *options, plain, packed).returncode == 0
    with receiving(spool) as receiver:
        done = dcmtk("storescu", "-v", proposal, "127.0.0.1", receiver.port, packed)
        assert done.returncode == 0, done.stderr
    (body,) = wait_for(spool, 1)
    assert pydicom.dcmread(BytesIO(body)).file_meta.TransferSyntaxUID == syntax


@pytest_dcmtk
def test_dcmtk_hears_of_a_full_disk(tmp_path: Path) -> None:
    with receiving(Spool(tmp_path / "spool", reserve_bytes=1 << 60)) as receiver:
        done = dcmtk("storescu", "-v", "127.0.0.1", receiver.port, write_exposure(tmp_path))
        assert "OutOfResources" in done.stdout + done.stderr
