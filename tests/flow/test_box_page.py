"""A whole box with its page in a real browser, without broker and collector, and through a kill."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE

from device.bundle.loader import PublicKey
from tests.support.box import BoxProcess
from tests.support.exposures import dicom_bytes
from tests.support.mosquitto import free_port

if TYPE_CHECKING:
    from tests.flow.browser import Browser

pytestmark = pytest.mark.browser


@pytest.fixture
def box(tmp_path: Path, tiny_bundle: tuple[Path, PublicKey]) -> Iterator[BoxProcess]:
    box = BoxProcess(
        tmp_path,
        tiny_bundle,
        broker_port=free_port(),  # where nobody listens
        board={"enabled": True, "port": free_port()},
    )
    box.start()
    yield box
    box.kill()


def expose(box: BoxProcess, number: int, name: str) -> None:
    """Send an exposure of this minute by C-STORE."""
    dataset = pydicom.dcmread(BytesIO(dicom_bytes(number, side=256)))
    now = datetime.now().astimezone()
    dataset.AcquisitionDate, dataset.AcquisitionTime = f"{now:%Y%m%d}", f"{now:%H%M%S}"
    dataset.PatientName = name
    modality = AE()
    modality.add_requested_context(dataset.SOPClassUID, ExplicitVRLittleEndian)
    association = modality.associate("127.0.0.1", box.port)
    assert association.send_c_store(dataset).Status == 0
    association.release()


def soon(check: Callable[[], Any], within_s: float = 20.0) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.05)
    return False


def test_the_technologist_sees_the_flag_with_broker_and_collector_away_and_after_a_kill(
    box: BoxProcess, chromium: Browser
) -> None:
    chromium.show()
    chromium.open(str(box.wait_ready()["board"]))
    assert "No exposure classified yet" in chromium.text("#top")
    expose(box, 1, "DOE^JANE")
    assert soon(lambda: "DOE, Jane" in chromium.text("#top .name"))
    assert "ID P1" in chromium.text("#top .ids")
    assert "tiny, version 1 (a trial, not released)" in chromium.text("footer")
    assert "1 result waiting for the collector" in chromium.text("footer")
    assert soon(lambda: chromium.run("document.querySelector('#top .image img').naturalWidth > 0"))
    box.kill()
    assert soon(lambda: "Connection to the box lost" in chromium.text("#lost"), within_s=9)
    box.start()
    expose(box, 2, "ROE^RICHARD")
    assert soon(lambda: "ROE, Richard" in chromium.text("#top .name"))
    assert not chromium.text("#lost")
    assert chromium.text("#list .name") == "DOE, Jane"
