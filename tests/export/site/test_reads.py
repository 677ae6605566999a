from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.imports import reads
from device.bundle.keys import PublicKey
from device.bundle.loader import load_bundle
from device.commands.classify_files import classify_paths
from device.contract import IdentifierType, content_id, pseudonym
from export.site.reads import ReadsError, SiteReads, site_reads
from tests.support.dicom_files import make_dx

DIGEST, OTHER = "a" * 64, "b" * 64
KEY = bytes(range(32))


def result(path: str, score: float | None, *, digest: str = DIGEST, **ids: Any) -> dict[str, Any]:
    """Return the fields of a result of `classify` that matter here."""
    return {
        "schema": 1,
        "exposure_id": hashlib.sha256(path.encode()).hexdigest()[:32],
        "study_id": None,
        "patient_id": None,
        "accession_id": None,
        "flag": "unclassified" if score is None else "review",
        "score": score,
        "model": {"name": "study", "version": 1, "digest": digest},
        "source_path": path,
        **ids,
    }


class Site:
    """A folder with a site's results and reads."""

    def __init__(self, folder: Path) -> None:
        self.results, self.reads, self.key = folder / "results.jsonl", folder / "reads.csv", folder / "site.key"
        self.key.write_text(KEY.hex())
        self.key.chmod(0o600)

    def has(self, *results: dict[str, Any]) -> None:
        self.results.write_text("".join(json.dumps(one) + "\n" for one in results))

    def read(self, header: str, *lines: str, keyed: bool = False) -> SiteReads:
        self.reads.write_text("\n".join([header, *lines, ""]))
        return site_reads(self.results, self.reads, digest=DIGEST, site_key=self.key if keyed else None)

    def refuses(self, message: str, header: str, *lines: str) -> None:
        with pytest.raises(ReadsError, match=message):
            self.read(header, *lines)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Two images, `images/a.png` (0.25) and `images/b.png` (0.75)."""
    site = Site(tmp_path)
    site.has(result("images/a.png", 0.25), result("images/b.png", 0.75))
    return site


def scores(paired: SiteReads) -> list[tuple[float, int]]:
    """Return the score and label of each image, ascending."""
    pairs = zip(1 / (1 + np.exp(-paired.logits)), paired.labels, strict=True)
    return sorted((round(float(score), 6), int(label)) for score, label in pairs)


def left_out(paired: SiteReads) -> dict[str, int]:
    return {reason: count for reason, count in paired.left_out.items() if count}


@pytest.mark.parametrize(
    ("column", "names"),
    [
        ("file", ("a.png", "b.png")),
        ("file", ("images/a.png", "./images//b.png")),
        ("source_path", ("images/a.png", "images/b.png")),
        ("case_id", ("a.png", "images/b.png")),
    ],
)
def test_reads_name_images_by_path_or_its_end(site: Site, column: str, names: Sequence[str]) -> None:
    paired = site.read(f"{column},label", f"{names[0]},0", f"{names[1]},1")
    assert scores(paired) == [(0.25, 0), (0.75, 1)]
    assert not left_out(paired)


@pytest.mark.parametrize("column", ["exposure_id", "case_id", "study_id", "accession_id"])
def test_reads_name_images_by_keyed_identifiers(site: Site, column: str) -> None:
    field = "exposure_id" if column == "case_id" else column
    site.has(result("x/1", 0.25, **{field: "0a" * 16}), result("x/2", 0.75, **{field: "0b" * 16}))
    assert scores(site.read(f"{column},label", f"{'0a' * 16},0", f"{'0b' * 16},1")) == [(0.25, 0), (0.75, 1)]


def test_raw_identifiers_of_reads_are_keyed_as_on_the_box(site: Site) -> None:
    site.has(
        result("1", 0.1, exposure_id=pseudonym(KEY, IdentifierType.EXPOSURE, "1.2.3")),
        result("2", 0.2, study_id=pseudonym(KEY, IdentifierType.STUDY, "1.2")),
        result("3", 0.8, accession_id=pseudonym(KEY, IdentifierType.ACCESSION, "A100")),
        result("4", 0.9, exposure_id=content_id(KEY, "c" * 64)),
    )
    header = "reader,label,sop_instance_uid,study_instance_uid,accession_number,content_sha256"
    lines = ("R1,normal,1.2.3,,,", "R1,0,,1.2,,", "R1,1,,,A100,", f"R1,pneumonia,,,,{'C' * 64}")
    assert scores(site.read(header, *lines, keyed=True)) == [(0.1, 0), (0.2, 0), (0.8, 1), (0.9, 1)]
    site.refuses(
        "sop_instance_uid: is a raw identifier; name the site key of the results with --site-key", header, *lines
    )


def test_images_with_keyed_identifiers_are_matched_by_a_file_that_the_collector_reads_too(
    site: Site, tiny_bundle: tuple[Path, PublicKey], tmp_path: Path
) -> None:
    bundle, public = tiny_bundle
    images = [make_dx(tmp_path / f"{index}.dcm", SOPInstanceUID=f"1.2.3.{index}") for index in range(2)]
    code = classify_paths(
        images,
        bundle=bundle,
        out=site.results,
        progress=False,
        site_key=site.key,
        trusted=[public.where],
        backend="cpu",
        threads=1,
    )
    digest = load_bundle(bundle, [public]).model.digest
    site.reads.write_text("Reader,Label,SOP_Instance_UID\nR1,normal,1.2.3.0\nR1,1,1.2.3.1\nR2,1,1.2.3.1\n")
    paired = site_reads(site.results, site.reads, digest=digest, site_key=site.key)
    assert (code, sorted(paired.labels)) == (0, [0, 1])
    by_collector = {read.exposure_id: read.positive for read in reads.read_reads(site.reads, KEY, datetime.now(UTC))}
    exposures = [json.loads(line)["exposure_id"] for line in site.results.read_text().splitlines()]
    assert by_collector == dict(zip(exposures, (False, True), strict=True))


def test_a_read_that_names_an_exposure_belongs_to_it_or_to_none(site: Site) -> None:
    site.has(result("a.png", 0.25), result("b.png", 0.75), result("c.png", 0.5, accession_id="0c" * 16))
    paired = site.read("exposure_id,accession_id,file,label", ",,a.png,0", ",,b.png,1", f"{'0d' * 16},{'0c' * 16},,1")
    assert left_out(paired) == {"reads without a result": 1, "images with a result and no read": 1}


def test_a_name_that_matches_several_images_is_left_out_and_its_whole_path_is_not(site: Site) -> None:
    site.has(*(result(path, score) for path, score in (("a.png", 0.1), ("x/a.png", 0.9), ("x/b.png", 0.5))))
    paired = site.read("file,label", "a.png,0", "x/a.png,1")
    assert scores(paired) == [(0.1, 0), (0.9, 1)]
    site.has(*(result(path, score) for path, score in (("y/a.png", 0.1), ("x/a.png", 0.9), ("x/b.png", 0.5))))
    paired = site.read("file,label", "a.png,0", "x/a.png,1", "b.png,0")
    assert scores(paired) == [(0.5, 0), (0.9, 1)]
    assert left_out(paired)["reads that match several images"] == 1


def test_a_study_stands_for_its_image_that_the_network_classified(site: Site) -> None:
    study = {"study_id": "0e" * 16}
    site.has(result("pa", 0.75, **study), result("lateral", None, **study), result("a.png", 0.25))
    assert scores(site.read("study_id,file,label", f"{'0e' * 16},,1", ",a.png,0")) == [(0.25, 0), (0.75, 1)]


def test_the_majority_of_readers_counts_and_a_tie_is_no_reference(site: Site) -> None:
    site.has(result("a.png", 0.25), result("b.png", 0.75), result("c.png", 0.5))
    labels_of = {"a.png": "010", "b.png": "110", "c.png": "01"}
    lines = [f"{image},{i},{label}" for image, labels in labels_of.items() for i, label in enumerate(labels)]
    paired = site.read("file,reader,label", *lines)
    assert scores(paired) == [(0.25, 0), (0.75, 1)]
    assert left_out(paired) == {"images whose reads tie": 1}


def test_the_same_label_of_the_same_reader_counts_once(site: Site) -> None:
    lines = ("a.png,R1,1", "images/a.png,R1,1", "a.png,R2,0", "a.png,R3,0", "b.png,R1,1")
    assert scores(site.read("file,reader,label", *lines)) == [(0.25, 0), (0.75, 1)]


def test_two_labels_of_one_reader_for_one_image_are_refused(site: Site) -> None:
    message = r"line 3: another label for the image of line 2; keep one$"
    site.refuses(message, "file,reader,label", "a.png,R1,1", "images/a.png,R1,0")
    site.refuses("name the readers in a column reader", "file,label", "a.png,1", "a.png,0")


def test_an_image_under_two_names_or_classified_twice_is_one(site: Site) -> None:
    twice = [result(path, 0.25, exposure_id="0f" * 16) for path in ("a.png", "copy/a2.png")]
    site.has(*twice, result("b.png", 0.5), result("b.png", 0.75))
    paired = site.read("file,reader,label", "a.png,R1,0", "a2.png,R2,0", "b.png,R1,1")
    assert scores(paired) == [(0.25, 0), (0.75, 1)]


def test_images_of_one_patient_keep_their_patient(site: Site) -> None:
    site.has(*(result(f"{index}.png", 0.5, patient_id="0a" * 16 if index < 2 else None) for index in range(4)))
    paired = site.read("file,label", "0.png,0", "1.png,1", "2.png,0", "3.png,1")
    assert len(set(paired.patients)) == 3


def test_what_is_left_out_is_counted(site: Site) -> None:
    foreign, unclassified = result("f.png", 0.5, digest=OTHER), result("lateral.png", None)
    site.has(result("a.png", 0.25), result("b.png", 0.75), result("c.png", 0.5), foreign, unclassified)
    paired = site.read("file,label", "a.png,0", "b.png,1", "f.png,1", "lateral.png,1", "nowhere.png,0")
    assert left_out(paired) == {
        "results of another network": 1,
        "images with a result and no read": 1,
        "reads without a result": 2,
        "images that the network did not classify": 1,
    }


def test_results_may_be_a_table(site: Site) -> None:
    site.results.write_text(
        "\ufefffile, Score ,model_digest\n"
        f'"images/a, first.png",0.25,{DIGEST}\nimages/b.png,0.75,{DIGEST}\n\nimages/c.png,,{DIGEST}\n'
    )
    paired = site.read("file,label", '"a, first.png",0', "images/b.png,1", "c.png,1")
    assert scores(paired) == [(0.25, 0), (0.75, 1)]
    assert left_out(paired) == {"images that the network did not classify": 1}


def test_scores_of_zero_and_one_have_logits(site: Site) -> None:
    site.has(result("a.png", 0.0), result("b.png", 1.0))
    assert np.isfinite(site.read("file,label", "a.png,0", "b.png,1").logits).all()


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


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30), unique=True))
def test_any_file_name_is_matched_by_its_whole_path(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    paths = [f"images/{index}/{name.strip().strip('/') or 'x'}" for index, name in enumerate([*names, "a", "b"])]
    site = Site(tmp_path_factory.mktemp("site"))
    site.has(*(result(path, 0.5, exposure_id=f"{index:032x}") for index, path in enumerate(paths)))
    with site.reads.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("file", "label"), *((path, index % 2) for index, path in enumerate(paths))])
    paired = site_reads(site.results, site.reads, digest=DIGEST)
    assert len(paired.labels) == len(paths)
