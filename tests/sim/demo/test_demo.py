"""Demo: a whole site runs, is killed in the middle, and answers every film; its report says so and needs no network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from sim.demo.demo import Options, Unanswered, run_demo
from sim.demo.kill_run import Kill
from sim.progress import Teller
from sim.site.process import PartFailed
from sim.site.site import Site
from tests.sim.modality.test_images import packed

# pynetdicom leaves the socket of a refused connection to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def options(tmp_path, bundle, **more):
    return Options(out=tmp_path / "out", bundle=bundle[0], trusted_keys=(bundle[1].where,), **more)


@pytest.fixture
def own_films(tmp_path):
    """Quick ones: pictures, a DICOM object, and something that is no film."""
    folder = tmp_path / "films"
    for label, grey in (("normal", 40), ("pneumonia", 220)):
        (folder / label).mkdir(parents=True)
        for number in range(3):
            # A picture of one grey would be rejected: these rise a little around it.
            picture = np.tile(np.linspace(grey + number - 15, grey + number + 15, 224), (224, 1)).astype(np.uint8)
            cv2.imwrite(str(folder / label / f"{number}.{'jpg' if number else 'png'}"), picture)
    (folder / "film.dcm").write_bytes(packed().data)
    (folder / "broken.dcm").write_bytes(b"not a film")
    (folder / "half.tmp").write_bytes(b"")
    return folder


def test_a_killed_site_answers_every_film_once(tmp_path, tiny_bundle, own_films):
    found = run_demo(options(tmp_path, tiny_bundle, exposures=own_films), Teller())
    assert (found["exposures"], found["results_stored"], found["lost"], found["duplicates"]) == (9, 9, 0, 0)
    assert None not in found["kill"].values()
    assert found["rejected_by_reason"] == {"unreadable": 2}
    out = tmp_path / "out"
    assert json.loads((out / "summary.json").read_text()) == found
    page = (out / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") >= 6
    assert not re.search(r"""(src|href)=["']https?:""", page)
    assert "Research use only" in page
    systems = json.loads((out / "comparison.json").read_text())["systems"]
    assert len(systems) == 3


def test_a_film_that_is_never_answered_fails_the_demo(tmp_path, tiny_bundle, own_films, monkeypatch):
    """The control: films that reach no box are lost, and the demo says so."""
    monkeypatch.setattr("sim.demo.demo.ANSWER_S", 1.0)
    monkeypatch.setattr("sim.demo.kill_run._planned", lambda _: Kill(collector_after=0, after_films=0))
    monkeypatch.setattr("sim.modality.modality.drop", lambda *_: None)
    for path in [path for path in own_films.rglob("*") if path.is_file()]:
        if path.name != "broken.dcm":
            path.unlink()
    with pytest.raises(Unanswered, match="1 of 1 films have no result: case-0001"):
        run_demo(options(tmp_path, tiny_bundle, exposures=own_films), Teller())


def test_a_box_that_cannot_start_is_named_with_its_reason(tmp_path, tiny_bundle):
    bundle = tmp_path / "broken.bundle"
    bundle.write_bytes(b"no bundle")
    with pytest.raises(PartFailed, match=r"(?s)box ended with code.*broken\.bundle"), Site(tmp_path / "site", bundle):
        pass


def test_the_command_leaves_nothing_running_when_it_is_ended(tmp_path, tiny_bundle):
    if not shutil.which("pgrep"):
        pytest.skip("procps is missing: apt-get install procps")
    words = [
        "demo",
        "--out",
        str(tmp_path / "out"),
        "--bundle",
        str(tiny_bundle[0]),
        "--trust",
        str(tiny_bundle[1].where),
    ]
    program = "from sim.app import main; main()"
    demo = subprocess.Popen([sys.executable, "-c", program, *words], stdout=subprocess.PIPE, text=True)
    assert demo.stdout
    assert "run; flag board" in demo.stdout.readline()
    demo.terminate()
    demo.stdout.close()
    assert demo.wait(60) != 0
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False)
    assert left.stdout == ""
