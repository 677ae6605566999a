"""A hospital that sets a bundle's thresholds: its images, results, reads and key, and the command line.

The tests of `set-thresholds` take the fixtures `site` and `command` from here.
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
from export.set_thresholds import OPERATING_POINT, ThresholdsRequest
from export.site.operating_point import Aim
from tests.support.bundle_factory import bright_image, make_bundle, tiny_image

CALIBRATION = {"method": "platt", "a": 1.3, "b": -0.2}
SPARSE, AIMS = 7, ("--aim", "sensitivity=0.8", "--aim", "specificity=0.8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A hospital with a vendor's bundle, images of its own, their results and reads, and a signing key of its own."""

    bundle: Path
    vendor_key: Path
    results: Path
    reads: Path
    key: Path
    images: tuple[Path, ...]

    def lines(self) -> list[dict[str, Any]]:
        """Return the results, one for each image."""
        return [json.loads(line) for line in self.results.read_text().splitlines()]

    def arguments(self, out: Path, *options: str, **changes: Path) -> list[str]:
        """Return the arguments of `pneumoflag-export`."""
        site = replace(self, **changes)
        inputs = [str(site.bundle), "--results", str(site.results), "--reads", str(site.reads)]
        trusted = ["--trusted-key", str(site.vendor_key), "--key", str(site.key)]
        return ["set-thresholds", *inputs, *trusted, "--out", str(out), *options]

    def request(self, out: Path, **aim: Any) -> ThresholdsRequest:
        return ThresholdsRequest(
            bundle=self.bundle,
            results=self.results,
            reads=self.reads,
            key=read_signing_key(self.key),
            out=out,
            aim=Aim(**aim),
            trusted=[read_public_key(self.vendor_key)],
        )


def label_of(index: int) -> int:
    """Return 1 for bright images and 0 for dark ones, but every seventh is the other way round."""
    return int((index >= 24) != (index % SPARSE == 0))


def shaded(image: np.ndarray) -> np.ndarray:
    """Return the image with as many grey levels as the box expects of an exposure."""
    ramp = np.linspace(0, 1, image.shape[1])[None]
    return (image * 0.8 + 0.2 * 255 * ramp).astype(np.uint8)


def make_site(folder: Path, bundle: Path, vendor_key: Path) -> Site:
    images = tuple(folder / "images" / f"{index:02}.png" for index in range(48))
    (folder / "images").mkdir()
    for index, path in enumerate(images[:-1]):
        cv2.imwrite(str(path), shaded(tiny_image((index + 1) / 48)))
    cv2.imwrite(str(images[-1]), bright_image())
    site = Site(
        bundle=bundle,
        vendor_key=vendor_key,
        results=folder / "results.jsonl",
        reads=folder / "reads.csv",
        key=folder / "site.key",
        images=images,
    )
    make_key(site.key)
    classify_images(images, bundle, vendor_key, site.results)
    rows = [f"{path.name},R1,{label_of(index)}" for index, path in enumerate(images)]
    site.reads.write_text("\n".join(["file,reader,label", *rows]))
    return site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    bundle, key = make_bundle(folder, calibration=CALIBRATION, version=3, released=True)
    return make_site(folder, bundle, key.where)


class Command:
    """Run `pneumoflag-export` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def run(self, arguments: list[str]) -> tuple[int, str, str]:
        """Return the exit code, the standard output and the standard error."""
        self._monkeypatch.setattr("sys.argv", ["pneumoflag-export", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        return (int(stopped.value.code or 0), *self._capsys.readouterr())

    def usage_error(self, arguments: list[str]) -> str:
        """Return the one line on the standard error that goes with exit code 2."""
        code, _, message = self.run(arguments)
        assert (code, len(message.strip().splitlines())) == (2, 1)
        assert "PNEUMOFLAG_TRACEBACK" not in message
        return message


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


def public(key: Path) -> Path:
    return key.with_name(f"{key.name}.pub")


def classify_images(images: tuple[Path, ...], bundle: Path, key: Path, out: Path) -> list[dict[str, Any]]:
    """Classify the images by the device's own command and return the results."""
    code = classify_paths(
        images, bundle=bundle, out=out, progress=False, site_key=None, trusted=[key], backend="cpu", threads=1
    )
    assert code == 0
    return [json.loads(line) for line in out.read_text().splitlines()]


def operating_point_record(bundle: Path) -> dict[str, Any]:
    return json.loads(dict(read_members(bundle))[OPERATING_POINT])


def flag_counts(results: list[dict[str, Any]]) -> dict[tuple[str, str], int]:
    """Count the results by flag and by read label."""
    labels = ("normal", "pneumonia")
    counts = {(flag, label): 0 for flag in (Flag.PNEUMONIA, Flag.REVIEW, Flag.CLEAR) for label in labels}
    for index, result in enumerate(results):
        counts[result["flag"], labels[label_of(index)]] += 1
    return counts
