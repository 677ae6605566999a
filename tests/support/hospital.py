"""A hospital that chooses a bundle's operating point anew: its films, results, reads and key, and the command line.

Test files of `reoperate` take the fixtures `site` and `command` from here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from device.bundle.keys import read_public_key
from device.bundle.loader import read_members
from device.commands.classify_files import classify_paths
from device.contract import Flag
from export.app import main
from export.bundle.writer import make_key, read_signing_key
from export.set_thresholds import OPERATING_POINT, Request
from export.site.operating_point import Aim
from tests.support.bundle_factory import bright_film, make_bundle, tiny_film

CALIBRATION = {"method": "platt", "a": 1.3, "b": -0.2}
SPARSE, AIMS = 7, ("--aim", "sensitivity=0.8", "--aim", "specificity=0.8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A hospital with a bundle of ours, films of its own, results and reads of them, and a signing key of its own."""

    bundle: Path
    vendor_key: Path
    results: Path
    reads: Path
    key: Path
    films: tuple[Path, ...]

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.results.read_text().splitlines()]

    def told(self, out: Path, *options: str, **changes: Path) -> list[str]:
        """The command line."""
        site = replace(self, **changes)
        inputs = [str(site.bundle), "--results", str(site.results), "--reads", str(site.reads)]
        trusted = ["--trusted-key", str(site.vendor_key), "--key", str(site.key)]
        return ["reoperate", *inputs, *trusted, "--out", str(out), *options]

    def request(self, out: Path, **aim: Any) -> Request:
        return Request(
            bundle=self.bundle, results=self.results, reads=self.reads, key=read_signing_key(self.key), out=out,
            aim=Aim(**aim), trusted=[read_public_key(self.vendor_key)],
        )  # fmt: skip


def labelled(index: int) -> int:
    """Bright films are ill, but every seventh is the other way round."""
    return int((index >= 24) != (index % SPARSE == 0))


def shaded(film: np.ndarray) -> np.ndarray:
    """With as many greys as the box expects of a film."""
    ramp = np.linspace(0, 1, film.shape[1])[None]
    return (film * 0.8 + 0.2 * 255 * ramp).astype(np.uint8)


def make_site(folder: Path, bundle: Path, vendor_key: Path) -> Site:
    films = tuple(folder / "films" / f"{index:02}.png" for index in range(48))
    (folder / "films").mkdir()
    for index, film in enumerate(films[:-1]):
        cv2.imwrite(str(film), shaded(tiny_film((index + 1) / 48)))
    cv2.imwrite(str(films[-1]), bright_film())
    site = Site(
        bundle=bundle, vendor_key=vendor_key, results=folder / "results.jsonl", reads=folder / "reads.csv",
        key=folder / "site.key", films=films,
    )  # fmt: skip
    make_key(site.key)
    classified(films, bundle, vendor_key, site.results)
    rows = [f"{film.name},R1,{labelled(index)}" for index, film in enumerate(films)]
    site.reads.write_text("\n".join(["file,reader,label", *rows]))
    return site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    bundle, key = make_bundle(folder, calibration=CALIBRATION, version=3, released=True)
    return make_site(folder, bundle, key.where)


class Command:
    """The command line in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def run(self, arguments: list[str]) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        self._monkeypatch.setattr("sys.argv", ["pneumoflag-export", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        return (int(stopped.value.code or 0), *self._capsys.readouterr())

    def refused(self, arguments: list[str]) -> str:
        """The one line on the standard error that goes with exit code 2."""
        code, _, said = self.run(arguments)
        assert (code, len(said.strip().splitlines())) == (2, 1)
        assert "PNEUMOFLAG_TRACEBACK" not in said
        return said


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


def public(key: Path) -> Path:
    return key.with_name(f"{key.name}.pub")


def classified(films: tuple[Path, ...], bundle: Path, key: Path, out: Path) -> list[dict[str, Any]]:
    """What `pneumoflag-device classify` says of them."""
    code = classify_paths(
        films, bundle=bundle, out=out, progress=False, site_key=None, trusted=[key], backend="cpu", threads=1
    )
    assert code == 0
    return [json.loads(line) for line in out.read_text().splitlines()]


def record(bundle: Path) -> dict[str, Any]:
    return json.loads(dict(read_members(bundle))[OPERATING_POINT])


def flags(films: list[dict[str, Any]]) -> dict[tuple[str, str], int]:
    """Films by what the box said and what was read."""
    found = {
        (flag, label): 0 for flag in (Flag.PNEUMONIA, Flag.REVIEW, Flag.CLEAR) for label in ("normal", "pneumonia")
    }
    for index, film in enumerate(films):
        found[film["flag"], ("normal", "pneumonia")[labelled(index)]] += 1
    return found
