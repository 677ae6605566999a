from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from device.bundle.keys import read_public_key
from device.bundle.loader import (
    GOLDEN,
    MODEL,
    load_bundle,
    read_members,
)
from device.bundle.slots import install
from device.config import ModelConfig
from device.contract import decide
from device.inference.classifier import Classifier
from export.bundle.inspect import parity_line
from export.bundle.writer import golden_file
from export.int8.parity import Parity
from export.set_thresholds import PICTURE, set_thresholds
from tests.support.bundle_factory import (
    TINY,
    make_bundle,
    make_evidence_bundle,
    tiny_golden,
)
from tests.support.hospital import (
    AIMS,
    CALIBRATION,
    Command,
    Site,
    classify_images,
    command,
    flag_counts,
    label_of,
    make_site,
    operating_point_record,
    public,
    site,
)

__all__ = ["command", "site"]


def test_a_box_installs_the_bundle_with_a_sites_own_thresholds_and_flags_by_them(
    command: Command, site: Site, tmp_path: Path
) -> None:
    out = tmp_path / "site.bundle"
    code, output, errors = command.run(site.arguments(out, *AIMS))
    assert (code, errors) == (0, "")
    old = load_bundle(site.bundle, [read_public_key(site.vendor_key)])
    new = load_bundle(out, [read_public_key(public(site.key))])
    assert (new.manifest.version, new.manifest.name, new.manifest.released) == (4, "tiny", True)
    assert (new.model.digest, new.tflite) == (old.model.digest, old.tflite)
    assert f"after: flag at {new.thresholds.flag_at:.4f}, clear below {new.thresholds.clear_below:.4f}" in output
    settings = ModelConfig(
        bundle=tmp_path / "models" / "active",
        trusted_keys=(public(site.key), site.vendor_key),
        backend="cpu",
        threads=1,
    )
    install(site.bundle, settings)
    assert install(out, settings).model.version == 4
    images = classify_images(site.images, settings.bundle, public(site.key), tmp_path / "again.jsonl")
    assert {image["thresholds"]["flag_at"] for image in images} == {new.thresholds.flag_at}
    assert [image["flag"] for image in images] == [decide(image["probability"], new.thresholds) for image in images]
    assert {
        (row["flag"], row["label"]): row["after"] for row in operating_point_record(out)["expected"]
    } == flag_counts(images)


def test_earlier_evidence_names_the_version_whose_thresholds_it_was_measured_with(tmp_path: Path) -> None:
    counts = {"passed": True, "label_flips": 1, "films": 9, "flipped_share": 1 / 9, "flag_flips": 2}
    parity = counts | {
        "largest_score_difference": 0.1,
        "largest_logit_difference": 0.4,
        "interpreter": "an interpreter",
    }
    parts = {MODEL: TINY.read_bytes(), GOLDEN: golden_file(*tiny_golden()), "model_card.md": b"# Tiny\n"}
    bundle, key = make_bundle(tmp_path, parts={**parts, "parity.json": json.dumps(parity).encode()})
    old = load_bundle(bundle, [key])
    made = set_thresholds(make_site(tmp_path, bundle, key.where).request(tmp_path / "site.bundle", flag_at=0.9))
    report = json.loads(dict(read_members(made.out))["parity.json"])
    assert report["measured_with"] == {
        "version": old.manifest.version,
        "flag_at": old.thresholds.flag_at,
        "clear_below": old.thresholds.clear_below,
    }
    line = parity_line(Parity.from_dict(report), report["measured_with"]["version"])
    assert f"thresholds of version {old.manifest.version}" in line
    assert "version" not in parity_line(Parity.from_dict(parity))


def test_the_flags_before_are_those_of_the_box(site: Site, tmp_path: Path) -> None:
    made = set_thresholds(site.request(tmp_path / "site.bundle", sensitivity=0.8))
    assert {(row.flag, row.label): row.before for row in made.rows} == flag_counts(site.lines())
    probabilities = {image["exposure_id"]: image["probability"] for image in site.lines()}
    np.testing.assert_array_equal(
        made.before.probabilities(made.site.logits), [probabilities[name] for name in sorted(probabilities)]
    )


def test_an_evidence_networks_bundle_keeps_its_out_of_distribution_check(tmp_path: Path) -> None:
    bundle, key = make_evidence_bundle(tmp_path)
    site = make_site(tmp_path, bundle, key.where)
    made = set_thresholds(site.request(tmp_path / "site.bundle", flag_at=0.9))
    classified = [image for image in site.lines() if image["score"] is not None]
    assert 0 < len(classified) < len(site.images)
    assert made.site.left_out["images that the network did not classify"] == len(site.images) - len(classified)
    new = load_bundle(made.out, [read_public_key(public(site.key))])
    assert new.outliers is not None
    assert Classifier(new, backend="cpu", threads=1).thresholds.flag_at == 0.9


def test_the_new_bundle_states_the_aim_the_images_and_the_expected_flags(site: Site, tmp_path: Path) -> None:
    made = set_thresholds(site.request(tmp_path / "site.bundle", sensitivity=0.8, recalibrate=True))
    parts = dict(read_members(made.out))
    manifest = load_bundle(made.out, [read_public_key(public(site.key))]).manifest
    positive = sum(label_of(index) for index in range(48))
    assert manifest.thresholds.chosen_on == (
        f"{48 - positive} normal and {positive} pneumonia images by the site's own reads; "
        "version 3 had 0.7000 and 0.3000"
    )
    assert manifest.thresholds.aim == (
        "clear_below: sensitivity of not being clear 0.8 at the lower 95 % bound; flag_at: as before; "
        "probabilities fitted to the same images"
    )
    assert manifest.metrics["sensitivity_at_clear"].low >= 0.8
    assert "which also chose the thresholds" in manifest.measured_on
    card = parts["model_card.md"].decode()
    assert card.startswith("# tiny version 4: a site's own operating point")
    assert card.endswith("---\n\n# Tiny\n")
    assert operating_point_record(made.out)["from"] == {
        "name": "tiny",
        "version": 3,
        "network": hashlib.sha256(parts[MODEL]).hexdigest(),
    }


def test_a_card_with_pictures_has_the_notice_on_top_and_later_ones_above_it(site: Site, tmp_path: Path) -> None:
    parts = dict(read_members(site.bundle))
    own = {name: parts[name] for name in ("model.tflite", "golden.npz", "model_card.md")}
    page = {"model_card.html": b"<body><!-- notice --><h1>tiny</h1></body>"}
    bundle, _ = make_bundle(
        tmp_path, key=site.vendor_key.with_suffix(""), parts=own | page, calibration=CALIBRATION, version=3
    )
    first = set_thresholds(replace(site.request(tmp_path / "a.bundle", flag_at=0.8), bundle=bundle))
    second = set_thresholds(replace(site.request(tmp_path / "b.bundle", flag_at=0.9), bundle=first.out))
    text = dict(read_members(second.out))["model_card.html"].decode()
    order = ["tiny version 5: a site", "flag_at 0.9000", "tiny version 4: a site", "flag_at 0.8000", "<h1>tiny</h1>"]
    assert re.findall("|".join(order), text) == order
    pneumonia = sum(row.after for row in first.rows if row.label == "pneumonia")
    assert f"Of {pneumonia} images read as pneumonia: " in text


def test_thresholds_can_be_set_a_second_time(site: Site, tmp_path: Path) -> None:
    first = set_thresholds(site.request(tmp_path / "first.bundle", sensitivity=0.8))
    second = set_thresholds(replace(site.request(tmp_path / "second.bundle", flag_at=0.9), bundle=first.out))
    assert (second.version, second.before.clear_below) == (5, first.after.clear_below)
    assert second.after.clear_below == first.after.clear_below
    assert operating_point_record(second.out)["from"]["version"] == 4


def test_the_same_images_and_key_give_the_same_bundle(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    made = [set_thresholds(site.request(tmp_path / name, sensitivity=0.8)).out for name in ("a.bundle", "b.bundle")]
    assert made[0].read_bytes() == made[1].read_bytes()


def test_a_bundle_may_be_a_folder_with_the_picture_in_it(site: Site, tmp_path: Path) -> None:
    made = set_thresholds(site.request(tmp_path / "own", sensitivity=0.8))
    assert made.picture == tmp_path / "own" / PICTURE
    assert load_bundle(made.out, [read_public_key(public(site.key))]).manifest.version == 4


def test_the_picture_shows_both_points_and_lies_beside_the_bundle(site: Site, tmp_path: Path) -> None:
    made = set_thresholds(site.request(tmp_path / "site.bundle", sensitivity=0.8, recalibrate=True))
    assert made.picture == tmp_path / "site.operating_point.svg"
    assert made.picture.read_bytes() == dict(read_members(made.out))[PICTURE]
    text = re.sub(r"<[^>]+>", " ", made.picture.read_text())
    for label in ("sensitivity", "specificity", "95 %", "before: flag_at 0.7000", "before: clear_below 0.3000"):
        assert label in text
    assert f"after: clear_below {made.after.clear_below:.4f}" in text


def test_a_previous_bundle_is_replaced(site: Site, tmp_path: Path) -> None:
    out = tmp_path / "site.bundle"
    first, second = (set_thresholds(site.request(out, sensitivity=share)) for share in (0.6, 0.8))
    assert first.after.clear_below > second.after.clear_below
    assert load_bundle(out, [read_public_key(public(site.key))]).thresholds.clear_below == second.after.clear_below


def test_it_needs_no_tensorflow() -> None:
    code = "import export.commands.set_thresholds, sys; print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert modules.stdout.strip() == "[]"
