"""Every state of the flag page, with phantoms, as one picture for docs/device/board.md."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from device.board.server import BoardServer
from device.config import BoardConfig
from device.contract import Reason, Source
from device.delivery.outbox import Outbox
from device.receive.spool import Spool
from sim.phantom import Finding, View, draw_spec, render
from tests.flow.browser import Browser
from tests.support.board_entries import add

SIZE = (1280, 432)
COLUMNS = 2
COVERED_S = 7.0


def phantom_jpeg(seed: int, finding: Finding, view: View = View.PA) -> bytes:
    """Return a thumbnail as the box would make it."""
    pixels = render(draw_spec(seed, finding), view=view, size=448).pixels.astype(np.float32)
    low, high = np.percentile(pixels, (0.5, 99.8))
    grey = np.clip((pixels - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    encoded: bytes = cv2.imencode(".jpg", grey)[1].tobytes()
    return encoded


class Stage:
    """A page whose outbox and spool are filled by hand."""

    def __init__(self, folder: Path, browser: Browser) -> None:
        self._browser, self._pictures = browser, folder / "pictures"
        self.box, self.spool = Outbox(folder / "outbox.sqlite"), Spool(folder / "spool", reserve_bytes=0)
        self.server = BoardServer(
            BoardConfig(port=0, stale_after_s=20),
            folder / "outbox.sqlite",
            folder / "spool",
            title="north hospital · X-ray room 2",
            model_note="released",
        )
        self.url = self.server.start()

    def picture(self, text: str, shown: Callable[[], str] | None = None) -> np.ndarray:
        """Return a picture of the window once it shows the text."""
        end_s = time.monotonic() + 10
        while text not in (shown() if shown else self._browser.text("#top")):
            if time.monotonic() > end_s:
                raise SystemExit(f"screenshots: the board does not show {text!r}")
            time.sleep(0.05)
        time.sleep(0.8)  # until thumbnails are loaded and the animation has ended
        path = self._pictures / "state.png"
        self._browser.picture(path)
        return cv2.imread(str(path))


def _play(stage: Stage, browser: Browser) -> list[np.ndarray]:
    patchy, lobar = phantom_jpeg(109, Finding.PATCHY), phantom_jpeg(102, Finding.LOBAR)
    normal, lateral = phantom_jpeg(104, Finding.NORMAL), phantom_jpeg(108, Finding.NORMAL, View.LATERAL)
    browser.open(stage.url)
    pictures = [stage.picture("No exposure classified yet")]
    waiting = stage.spool.put(b"image", source=Source.DICOM, receive_ms=1.0)
    pictures.append(stage.picture("Exposure received"))
    stage.spool.done(waiting)
    roe = {"patient": "ROE^RICHARD", "patient_id": "100201", "accession": "A-4712", "sex": "M", "age_years": 70}
    kim = {"patient": "KIM^MINJUN", "patient_id": "100202", "accession": "A-4713", "sex": "M", "age_years": 44}
    add(stage.box, "a", probability=0.87, thumbnail=patchy)
    pictures.append(stage.picture("Pneumonia flagged"))
    add(stage.box, "b", probability=0.41, thumbnail=lobar, **roe)
    pictures.append(stage.picture("Needs review"))
    add(stage.box, "c", probability=0.04, thumbnail=normal, **kim)
    pictures.append(stage.picture("No pneumonia flagged"))
    add(stage.box, "d", reason=Reason.LATERAL_VIEW, view="LL", thumbnail=lateral, **kim)
    pictures.append(stage.picture("Not classified"))
    time.sleep(20)
    pictures.append(stage.picture("No new exposure"))
    stage.server.stop()
    time.sleep(COVERED_S)
    pictures.append(stage.picture("Connection to the box lost", lambda: browser.text("#lost")))
    return pictures


def take_states(path: Path, browser: Browser) -> None:
    """Write the contact sheet."""
    browser.show(size=SIZE, scheme="dark")
    with tempfile.TemporaryDirectory(prefix="pneumoflag-states-") as folder:
        stage = Stage(Path(folder), browser)
        try:
            pictures = _play(stage, browser)
        finally:
            stage.server.stop()
            stage.box.close()
    half = [cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for picture in pictures]
    rows = [np.hstack(half[start : start + COLUMNS]) for start in range(0, len(half), COLUMNS)]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.vstack(rows))
