"""Results and reads that cannot be used are named with file, line and remedy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from export.site.reads import ReadsError, site_reads
from tests.export.site.site_files import DIGEST, OTHER, Site, result, site

__all__ = ["site"]


def test_two_labels_of_one_reader_for_one_image_are_refused(site: Site) -> None:
    message = r"line 3: another label for the image of line 2; keep one$"
    site.refuses(message, "file,reader,label", "a.png,R1,1", "images/a.png,R1,0")
    site.refuses("name the readers in a column reader", "file,label", "a.png,1", "a.png,0")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            [result("a.png", 0.5, digest=OTHER)],
            "expected results of this bundle's network aaaaaaaaaaaa…, got results of bbbbbbbbbbbb…",
        ),
        ([{**result("a.png", 0.5), "score": "high"}], "line 1: score: expected a number from 0 to 1"),
        ([{**result("a.png", 0.5), "score": 1.5}], "line 1: score"),
        ([{**result("a.png", 0.5), "score": float("nan")}], "line 1: score"),
        ([{**result("a.png", 0.5), "score": True}], "line 1: score"),
        ([{"model": {"digest": DIGEST}, "score": 0.5}], "line 1: expected exposure_id or one of"),
        ([{"hello": 1}], "line 1: not a box's result; name a file that `classify` wrote"),
        ([{"model": 7}], "line 1: not a box's result"),
    ],
)
def test_lines_that_are_no_results_are_named(site: Site, lines: Sequence[dict[str, Any]], message: str) -> None:
    site.has(*lines)
    site.refuses(message, "file,label", "a.png,0")


def test_images_that_the_network_did_not_classify_choose_no_thresholds(site: Site) -> None:
    site.has(result("a.png", None), result("b.png", None))
    site.refuses(
        "the network classified none of the images with a read; their gate reasons say why", "file,label", "a.png,0"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty; expected a header line"),
        ("file,label\na.png,1\n", "no column score and no model_digest"),
        ('{"model": {"digest": "x"}}\nnot json\n', "line 2: not a box's result"),
        (f"file,file,score,model_digest\na,a,1,{DIGEST}\n", "two columns have the same name"),
        (f"file,score,model_digest\na,b,1,{DIGEST}\n", "line 2: 4 cells under 3 columns; quote"),
        ('file,score,model_digest\n"a,1\n', "not CSV"),
    ],
)
def test_a_file_without_results_is_named(site: Site, text: str, message: str) -> None:
    site.results.write_text(text)
    site.refuses(message, "file,label", "a.png,0")


def test_files_that_cannot_be_read_are_named(site: Site, tmp_path: Path) -> None:
    site.results.write_bytes(b"\xff\xfe{")
    site.refuses("not UTF-8 text; save it as UTF-8", "file,label", "a.png,0")
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ReadsError, match="cannot be read"):
            site_reads(path, site.reads, digest=DIGEST)


@pytest.mark.parametrize(
    ("header", "lines", "message"),
    [
        ("file,read", ["a.png,0"], "expected the columns label and one of .*file.*, separated by commas"),
        ("name,label", ["a.png,0"], "expected the columns label and one of"),
        ("file,label", ["a.png,2"], "line 2: label: expected 0, 1, normal or pneumonia"),
        ("file,label", ["a.png,0", "b.png"], "line 3: label"),
        ("file,label", ["a.png,0", ",1"], "line 3: names no image"),
        ("file,reader,label", ["a.png,,1"], "reader: empty"),
        ("file,label", ["x.png,0", "y.png,1"], "none of its images is in .*; compare how both name images"),
        ("file,label", ["a.png,0", "b.png,0"], "no pneumonia image among the 2 with a score; add reads of some"),
        ("file,label", ["a.png,1"], "no normal image among the 1"),
        ("file,label", [], "none of its images"),
        ("", [], "empty; expected a header line"),
    ],
)
def test_reads_that_cannot_be_used_are_named(site: Site, header: str, lines: Sequence[str], message: str) -> None:
    site.refuses(message, header, *lines)
