"""The demonstration: a whole site runs, is killed halfway and gives every exposure one result; its report says so."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest

from sim.demo.demo import Options, Unanswered, run_demo
from sim.demo.kill_run import Kill
from sim.progress import ProgressReporter
from sim.site.process import ProcessFailed
from sim.site.site import Site
from tests.sim.modality.test_images import payload_of

# pynetdicom leaves the socket of a refused connection to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def options(tmp_path, bundle, **more):
    return Options(out=tmp_path / "out", bundle=bundle[0], trusted_keys=(bundle[1].where,), **more)


@pytest.fixture
def images(tmp_path):
    """Images that need no rendering: pictures, a DICOM object, and two files that are no images."""
    folder = tmp_path / "images"
    for label, grey in (("normal", 40), ("pneumonia", 220)):
        (folder / label).mkdir(parents=True)
        for number in range(3):
            # A picture of one grey level would be rejected: these rise a little around it.
            picture = np.tile(np.linspace(grey + number - 15, grey + number + 15, 224), (224, 1)).astype(np.uint8)
            cv2.imwrite(str(folder / label / f"{number}.{'jpg' if number else 'png'}"), picture)
    (folder / "image.dcm").write_bytes(payload_of().data)
    (folder / "broken.dcm").write_bytes(b"not an image")
    (folder / "half.tmp").write_bytes(b"")
    return folder


def test_a_killed_site_gives_every_exposure_one_result(tmp_path, tiny_bundle, images):
    summary = run_demo(options(tmp_path, tiny_bundle, exposures=images), ProgressReporter())
    assert (summary["exposures"], summary["results_stored"], summary["lost"], summary["duplicates"]) == (9, 9, 0, 0)
    assert None not in summary["kill"].values()
    assert summary["rejected_by_reason"] == {"unreadable": 2}
    out = tmp_path / "out"
    assert json.loads((out / "summary.json").read_text()) == summary
    page = (out / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") >= 6
    assert not re.search(r"""(src|href)=["']https?:""", page)
    assert "Research use only" in page
    systems = json.loads((out / "comparison.json").read_text())["systems"]
    assert len(systems) == 3


def test_an_exposure_that_gets_no_result_fails_the_demonstration(tmp_path, tiny_bundle, images, monkeypatch):
    """The control: exposures that reach no box are lost, and the demonstration reports them. No comparison is made."""
    monkeypatch.setattr("sim.demo.demo._compare", lambda *_: None)
    monkeypatch.setattr("sim.demo.kill_run.RENDER_WORKERS", 0)
    monkeypatch.setattr("sim.demo.demo.ANSWER_TIMEOUT_S", 1.0)
    monkeypatch.setattr("sim.demo.kill_run._plan_kill", lambda _: Kill(collector_after=0, box_after=0))
    monkeypatch.setattr("sim.modality.modality.write_to_folder", lambda *_: None)
    for path in [path for path in images.rglob("*") if path.is_file()]:
        if path.name != "broken.dcm":
            path.unlink()
    with pytest.raises(Unanswered, match="1 of 1 exposures have no result: case-0001"):
        run_demo(options(tmp_path, tiny_bundle, exposures=images), ProgressReporter())


def test_a_box_that_cannot_start_is_reported_with_its_reason(tmp_path, tiny_bundle):
    bundle = tmp_path / "broken.bundle"
    bundle.write_bytes(b"no bundle")
    with (
        pytest.raises(ProcessFailed, match=r"(?s)box ended with code.*broken\.bundle"),
        Site(tmp_path / "site", bundle),
    ):
        pass
