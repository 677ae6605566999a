from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.imports import reads
from device.bundle.keys import PublicKey
from device.bundle.loader import load_bundle
from device.commands.classify_files import classify_paths
from device.contract import IdentifierType, content_id, pseudonym
from export.site.reads import site_reads
from tests.export.site.site_files import DIGEST, KEY, OTHER, Site, left_out, result, scores, site
from tests.support.dicom_files import make_dx

__all__ = ["site"]


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


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30), unique=True))
def test_any_file_name_is_matched_by_its_whole_path(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    paths = [f"images/{index}/{name.strip().strip('/') or 'x'}" for index, name in enumerate([*names, "a", "b"])]
    site = Site(tmp_path_factory.mktemp("site"))
    site.has(*(result(path, 0.5, exposure_id=f"{index:032x}") for index, path in enumerate(paths)))
    with site.reads.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("file", "label"), *((path, index % 2) for index, path in enumerate(paths))])
    paired = site_reads(site.results, site.reads, digest=DIGEST)
    assert len(paired.labels) == len(paths)
