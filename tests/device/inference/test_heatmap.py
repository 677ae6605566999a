"""The overlay of the evidence map: drawn, kept in the history, shown on the page, and written by `classify`."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from console.errors import DONE, FAILED, USAGE, ExpectedError, report
from device.board.server import BoardServer
from device.commands.classify_files import classify_paths
from device.config import BoardConfig
from device.contract import Flag, Reason, Source
from device.delivery.outbox import Outbox
from device.host.clock import read_clock
from device.inference import heatmap
from device.pipeline.exposure import ExposureClassifier, SiteIdentity
from device.pipeline.processor import ExposureProcessor
from device.receive.spool import Spool, SpooledExposure
from tests.device.inference.test_heatmap_network import opened
from tests.device.pipeline.test_exposure import Here
from tests.support.board_entries import (
    Shown,
    add,
    entry_of,
    grey_jpeg,
    result_of,
)
from tests.support.bundle_factory import (
    bright_image,
    make_bundle,
    make_evidence_bundle,
    tiny_image,
)
from tests.support.dicom_files import make_dx
from tests.support.results import draft, entry

BLUE, RED = 0, 2


def grey_image(grey: int = 100) -> np.ndarray:
    return np.full((224, 224), grey, np.uint8)


def test_evidence_for_pneumonia_is_orange_and_evidence_against_it_blue() -> None:
    shares = np.zeros((7, 7), np.float32)
    shares[3, 1], shares[3, 5] = 1.0, -1.0
    overlay = heatmap.overlay(shares, grey_image()).astype(int)
    assert overlay.shape == (224, 224, 3)
    in_favour, against, nothing = overlay[112, 48], overlay[112, 176], overlay[10, 112]
    assert in_favour[RED] > 150 > in_favour[BLUE]
    assert against[BLUE] > 150 > against[RED]
    assert nothing.tolist() == [100, 100, 100]


def test_the_scale_is_that_of_the_image_and_not_of_the_map() -> None:
    # Two logits over the whole image, divided into 49 or into 196 places.
    coarse, fine = np.full((7, 7), 2 / 49, np.float32), np.full((14, 14), 2 / 196, np.float32)
    assert heatmap.strength(coarse) == pytest.approx(2 / 100 / heatmap.FULL)
    assert heatmap.strength(fine) == pytest.approx(2 / 100 / heatmap.FULL)


def test_twice_the_evidence_is_twice_the_colour_up_to_the_full_one() -> None:
    share = heatmap.FULL / 4  # of a map with a hundred places
    one = heatmap.strength(np.full((10, 10), share, np.float32)).max()
    assert one == pytest.approx(0.25)
    assert heatmap.strength(np.full((10, 10), 2 * share, np.float32)).max() == pytest.approx(2 * one)
    assert heatmap.strength(np.full((10, 10), -9.0, np.float32)).min() == -1.0


def test_the_image_stays_visible_under_the_strongest_colour() -> None:
    stripes = (np.indices((224, 224))[1] // 16 % 2 * 200).astype(np.uint8)
    overlay = heatmap.overlay(np.ones((7, 7), np.float32), stripes).astype(int)
    assert abs(overlay[100, 24] - overlay[100, 8]).max() > 50


def test_a_file_stands_for_itself_with_its_scale_below() -> None:
    overlay = cv2.imdecode(
        np.frombuffer(heatmap.png(np.ones((7, 7), np.float32), grey_image()), np.uint8), cv2.IMREAD_COLOR
    )
    assert overlay.shape == (448 + heatmap.STRIP, 448, 3)
    scale = overlay[448 + 12].astype(int)
    assert scale[0, BLUE] > scale[0, RED]
    assert scale[-1, RED] > scale[-1, BLUE]


def classifier_of(folder: Path, **bundle: Any) -> ExposureClassifier:
    network = opened(make_evidence_bundle(folder, **bundle))
    identity = SiteIdentity(site="s", device="d", boot_id="b", key=None)
    return ExposureClassifier(preparer=Here(), network=network, identity=identity, clock=read_clock)


def processor_of(folder: Path, **bundle: Any) -> ExposureProcessor:
    return ExposureProcessor(classifier_of(folder, **bundle))


def spooled(path: Path) -> SpooledExposure:
    return SpooledExposure(path=path, received_at=datetime.now(UTC), source=Source.DICOM, receive_ms=None)


def test_a_classified_exposure_has_its_overlay_in_the_history(tmp_path: Path) -> None:
    answer = processor_of(tmp_path).process(spooled(make_dx(tmp_path / "image")))
    assert answer.result.flag is not Flag.UNCLASSIFIED
    assert answer.entry.evidence is not None
    overlay = cv2.imdecode(np.frombuffer(answer.entry.evidence, np.uint8), cv2.IMREAD_COLOR)
    assert overlay.shape == (224, 224, 3)
    box = Outbox(tmp_path / "outbox.sqlite")
    box.put(answer.result, answer.entry)
    assert box.history(1)[0].evidence == answer.entry.evidence
    box.close()


def test_the_overlay_adds_up_to_the_logit_whatever_the_networks_constant(tmp_path: Path) -> None:
    classified = classifier_of(tmp_path, bias=2.5).classify(spooled(make_dx(tmp_path / "image")))
    assert classified.scores is not None
    assert classified.evidence is not None
    assert classified.evidence[0].sum() == pytest.approx(classified.scores.logit, abs=1e-4)
    assert classified.scores.evidence.sum() == pytest.approx(classified.scores.logit - 2.5, abs=1e-4)


def test_an_exposure_out_of_distribution_has_no_overlay_and_the_box_logs_it(tmp_path: Path) -> None:
    dx = make_dx(
        tmp_path / "image", bright_image().astype(np.uint16), BitsStored=8, HighBit=7, WindowCenter=128, WindowWidth=256
    )
    answer = processor_of(tmp_path).process(spooled(dx))
    assert (answer.result.flag, answer.result.gate.reason) == (Flag.UNCLASSIFIED, Reason.OUT_OF_DISTRIBUTION)
    assert answer.entry.evidence is None
    assert answer.entry.thumbnail is not None


def test_a_resend_is_recognized_whatever_the_network_outputs(tmp_path: Path) -> None:
    path = make_dx(tmp_path / "image")
    kept = processor_of(tmp_path).process(spooled(path))
    refused = processor_of(tmp_path, name="strict.bundle", threshold=1e-9).process(spooled(path))
    assert refused.result.gate.reason is Reason.OUT_OF_DISTRIBUTION
    assert refused.entry.fingerprint == kept.entry.fingerprint


OLD_HISTORY = """
CREATE TABLE history (
    result_id TEXT PRIMARY KEY, seq INTEGER NOT NULL UNIQUE, body TEXT NOT NULL,
    patient_name TEXT, patient_id TEXT, accession TEXT,
    acquired_at TEXT, received_at TEXT NOT NULL, decided_at TEXT NOT NULL,
    thumbnail BLOB, fingerprint TEXT NOT NULL, resends INTEGER NOT NULL DEFAULT 0, resent_at TEXT
) STRICT
"""


def test_the_history_of_an_earlier_version_opens_with_every_flag(tmp_path: Path) -> None:
    path, before = tmp_path / "outbox.sqlite", entry(draft("old"))
    at = before.received_at.isoformat()
    db = sqlite3.connect(path)
    db.execute(OLD_HISTORY)
    db.execute(
        "INSERT INTO history VALUES (?, 0, ?, 'Doe^Jane', '4711', 'A1', ?, ?, ?, ?, '', 0, NULL)",
        (before.result["result_id"], json.dumps(before.result), at, at, at, before.thumbnail),
    )
    db.commit()
    db.close()
    for _ in range(2):
        box = Outbox(path)
        assert box.history(9)[-1] == before
        box.close()
    box = Outbox(path)
    box.put(draft("new"), replace(entry(draft("new")), evidence=b"jpeg", fingerprint="new"))
    assert box.history(9)[0].evidence == b"jpeg"
    box.close()


def test_the_page_offers_the_overlay_of_a_flag_and_of_nothing_else(tmp_path: Path) -> None:
    box, now = Outbox(tmp_path / "outbox.sqlite"), datetime.now(UTC)
    Spool(tmp_path / "spool", reserve_bytes=0)
    add(box, "plain")
    drawn = Shown(name="drawn", at=now, probability=0.9)
    box.put(result_of(drawn), entry_of(drawn, evidence=grey_jpeg(77)))
    refused = Shown(name="refused", at=now, reason=Reason.OUT_OF_DISTRIBUTION)
    box.put(result_of(refused), entry_of(refused, evidence=grey_jpeg(88)))
    server = BoardServer(BoardConfig(port=0), tmp_path / "outbox.sqlite", tmp_path / "spool")
    url = server.start()
    try:
        with httpx.Client(base_url=url, trust_env=False) as client:
            page = client.get("/").text
            key = result_of(drawn).result_id
            assert page.count("/evidence/") == 1
            assert page.count(f'for="where-{key}"') == page.count(f'id="where-{key}"') == 1
            answer = client.get(f"/evidence/{key}.jpg")
            assert (answer.content, answer.headers["cache-control"]) == (grey_jpeg(77), "no-store")
            assert client.get(f"/evidence/{'0' * 32}.jpg").status_code == 404
    finally:
        server.stop()
        box.close()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    cv2.imwrite(str(folder / "bright.png"), bright_image())
    cv2.imwrite(str(folder / "disc.png"), cv2.GaussianBlur(tiny_image(1.0), (0, 0), 2))
    (folder / "notes.txt").write_text("no image")
    return folder


def run(images: Path, made: tuple[Any, Any], **options: Any) -> int:
    """Return the exit code, with what is wrong on standard error as the program would write it."""
    bundle, key = made
    try:
        return classify_paths(
            [images],
            bundle=bundle,
            progress=False,
            site_key=None,
            trusted=[key.where],
            backend="cpu",
            threads=1,
            **options,
        )
    except ExpectedError as error:
        return report(error, program="pneumoflag-device", extra="device")


def test_classify_draws_one_overlay_for_each_image_with_a_flag(tmp_path: Path, images: Path) -> None:
    out, pictures = tmp_path / "lines", tmp_path / "new" / "pictures"
    assert run(images, make_evidence_bundle(tmp_path), out=out, evidence=pictures) == DONE
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["gate"]["reason"] for line in lines] == ["out_of_distribution", None, "unreadable"]
    assert [(line["probability"], line["score"]) for line in (lines[0], lines[2])] == [(None, None)] * 2
    assert [path.name for path in pictures.iterdir()] == [f"{lines[1]['exposure_id']}.png"]


def test_classify_refuses_overlays_of_a_network_without_a_map(
    tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(images, make_bundle(tmp_path), out=tmp_path / "lines", evidence=tmp_path / "pictures") == USAGE
    assert "leave --evidence out" in capsys.readouterr().err
    assert not (tmp_path / "pictures").exists()


def test_classify_names_a_folder_that_cannot_be_made_and_an_overlay_that_cannot_be_written(
    tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_evidence_bundle(tmp_path)
    assert run(images, made, out=tmp_path / "lines", evidence=images / "notes.txt") == USAGE
    assert "name another folder with --evidence" in capsys.readouterr().err
    assert run(images, made, out=tmp_path / "lines", evidence=Path("/proc/self/fd")) == FAILED
    assert "cannot be written" in capsys.readouterr().err
