"""Rendering ahead: images come in the order of their cases, and a stop does not wait for one that is still rendered."""

from __future__ import annotations

import os
import threading
import time
from multiprocessing import active_children

import cv2
import numpy as np
import pytest

from sim.modality.cases import Case, CaseType, Transport
from sim.modality.manifest import Manifest
from sim.modality.modality import Destination, Modality
from sim.modality.render_ahead import rendered_images


def case(number, source):
    return Case(number=number, case_type=CaseType.CHEST, transport=Transport.C_STORE, seed=number, source=source)


@pytest.mark.parametrize("workers", [0, 2])
def test_images_come_in_the_order_of_their_cases(tmp_path, workers):
    cases = []
    for number in range(8):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), np.full((4, 4), 10 * number, np.uint8))
        cases.append(case(number, path))
    with rendered_images(cases, workers, threading.Event()) as images:
        values = [(each.number, round(int(image.pixels[0, 0]) * 255 / 16383)) for each, image in images if image]
    assert values == [(number, 10 * number) for number in range(8)]


def test_a_stop_ends_the_modality_while_an_image_is_still_rendered(tmp_path):
    os.mkfifo(tmp_path / "never.png")  # nobody writes to it, so reading it never ends
    modality = Modality(
        [case(1, tmp_path / "never.png")],
        Destination(address=None, folder=tmp_path),
        Manifest(tmp_path / "manifest.csv"),
        run_name="test",
        workers=1,
    )
    thread = threading.Thread(target=modality.run)
    thread.start()
    while not active_children():
        time.sleep(0.01)
    modality.stop.set()
    thread.join(30)
    ended = not thread.is_alive()
    for worker in active_children():
        worker.kill()
    thread.join()
    assert ended
    assert not active_children()
