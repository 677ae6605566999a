"""An aim, input or place that cannot be used is reported in one line, with exit code 2, and nothing is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from device.bundle.keys import read_public_key
from device.bundle.loader import load_bundle
from export.set_thresholds import PlaceError, set_thresholds
from tests.support.bundle_factory import make_bundle
from tests.support.hospital import (
    AIMS,
    Command,
    Site,
    command,
    site,
)

__all__ = ["command", "site"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "nothing to do: name --aim, --flag-at, --clear-below or --recalibrate"),
        (["--aim", "sensitivity"], "a share such as sensitivity=0.9"),
        (["--aim", "accuracy=0.9"], "expected sensitivity=0.97 or specificity=0.9"),
        (["--aim", "sensitivity=0.7", "--aim", "sensitivity=0.8"], "each at most once"),
        (["--aim", "sensitivity=97"], "a share between 0 and 1"),
        (["--aim", "sensitivity=nan"], "a share between 0 and 1"),
        (["--aim", "sensitivity=0.7", "--clear-below", "0.1"], "leave --clear-below out"),
        (["--aim", "specificity=0.7", "--flag-at", "0.1"], "leave --flag-at out"),
        (["--flag-at", "1.5"], "--flag-at: expected a probability from 0 to 1, got 1.5"),
        (["--clear-below", "nan"], "a probability from 0 to 1"),
        (["--clear-below", "0.9"], "clear_below 0.9000 would lie above flag_at 0.7000; name both"),
        (["--aim", "sensitivity=0.99"], "25 pneumonia images with a read are too few .* 381 suffice .* aim at 0.86"),
    ],
)
def test_an_aim_that_cannot_be_reached_is_named_and_nothing_written(
    command: Command, site: Site, options: list[str], message: str, tmp_path: Path
) -> None:
    assert re.search(message, command.usage_error(site.arguments(tmp_path / "x.bundle", *options)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bundle": "absent.bundle"}, "bundle cannot be read"),
        ({"bundle": "reads.csv"}, "not a bundle"),
        ({"bundle": "foreign.bundle"}, "not trusted here; .*--trusted-key"),
        ({"key": "absent.key"}, "pneumoflag-export keygen"),
        ({"results": "absent.jsonl"}, "cannot be read .* name a file"),
        (
            {"results": "other.jsonl"},
            "expected results of this bundle's network .* classify the images with this bundle",
        ),
        ({"reads": "inverted.csv"}, "contradict the reads .* check that 1 is pneumonia"),
        ({"reads": "normal.csv"}, "no pneumonia image among the 48"),
    ],
)
def test_wrong_input_is_named_and_nothing_written(
    command: Command, site: Site, changes: dict[str, str], message: str, tmp_path: Path
) -> None:
    given_files = tmp_path / "given"
    given_files.mkdir()
    reads, results = site.reads.read_text(), site.results.read_text()
    (given_files / "reads.csv").write_text(reads)
    (given_files / "other.jsonl").write_text(results.replace(site.lines()[0]["model"]["digest"], "f" * 64))
    (given_files / "inverted.csv").write_text(re.sub(r",([01])\b", lambda label: f",{1 - int(label[1])}", reads))
    (given_files / "normal.csv").write_text(re.sub(r",1\b", ",0", reads))
    make_bundle(given_files, name="foreign.bundle")
    arguments = site.arguments(
        tmp_path / "x.bundle", *AIMS, **{name: given_files / file for name, file in changes.items()}
    )
    assert re.search(message, command.usage_error(arguments))
    assert list(tmp_path.iterdir()) == [given_files]


def test_neither_an_input_nor_another_folder_is_written_over(site: Site, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    (tmp_path / "x.bundle").mkdir()
    (tmp_path / "file").write_text("mine")
    for out in (site.bundle, site.reads, tmp_path / "full", tmp_path / "x.bundle", tmp_path / "file"):
        with pytest.raises(PlaceError, match="name another with --out"):
            set_thresholds(site.request(out, sensitivity=0.8))
    assert load_bundle(site.bundle, [read_public_key(site.vendor_key)]).manifest.version == 3
    with pytest.raises(PlaceError, match="cannot be written"):
        set_thresholds(site.request(tmp_path / "file" / "x.bundle", sensitivity=0.8))
