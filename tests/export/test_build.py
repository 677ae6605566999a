from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from device.bundle.keys import read_public_key
from device.bundle.loader import (
    MODEL,
    load_bundle,
    read_members,
    trusted_keys,
)
from device.commands.selftest import selftest
from device.inference.classifier import Classifier
from export.app import main
from export.build import BuildRequest, BuildResult, ExportError, Release, build
from export.bundle.golden import golden_inputs
from export.bundle.writer import make_key, read_signing_key
from export.int8.parity import MAX_FLIPPED_SHARE, Parity
from tests.support.bundle_factory import make_bundle
from train.data.dataset import load_dataset
from train.networks.predictor import ModelOutputs, predict
from train.recipe import load_recipe
from train.run.run_folder import RunError, load_predictor

EPOCH = "1767225600"


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "test.key"
    make_key(path)
    return path


@pytest.fixture(scope="session")
def built(toy_run: Path, key: Path, tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    baseline = tmp_path_factory.mktemp("older") / "run"
    shutil.copytree(toy_run, baseline)
    request = BuildRequest(
        run=toy_run,
        out=tmp_path_factory.mktemp("out") / "toy.bundle",
        key=read_signing_key(key),
        release=Release(name="newer"),
        notes="Seen elsewhere.",
        baseline=baseline,
    )
    return build(request)


def exit_code(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of the command line."""
    monkeypatch.setattr("sys.argv", ["pneumoflag-export", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_the_bundle_passes_the_boxs_selftest(built: BuildResult, key: Path) -> None:
    assert selftest(built.out, trusted=[key.with_name("test.key.pub")], backend="auto", threads=1) == 0


def test_the_box_scores_images_as_keras_does(built: BuildResult, key: Path, toy: Path, toy_run: Path) -> None:
    bundle = load_bundle(built.out, [read_public_key(key.with_name("test.key.pub"))])
    classifier = Classifier(bundle, backend="cpu", threads=1)
    images = load_dataset(toy / "manifest.csv", toy, load_recipe(toy_run / "recipe.yaml").data)["test"].images
    model = [classifier.classify(image).logit for image in images]
    keras_logits = predict(load_predictor(toy_run, built.seed), images).logits
    spread = float(np.ptp(keras_logits))
    np.testing.assert_allclose(model, keras_logits, atol=0.05 * spread)


def test_the_bundle_contains_its_evidence(built: BuildResult) -> None:
    parts = dict(read_members(built.out))
    assert json.loads(parts["audit.json"])["passed"] is True
    assert json.loads(parts["parity.json"])["images"] == 24
    assert len(json.loads(parts["calibration_images.json"])["sha256"]) == 16
    card = parts["model_card.md"].decode()
    for text in (
        "## What it is for",
        "tests",
        "out-of-distribution",
        "95 % interval",
        "## Notes\n\nSeen elsewhere.",
        "never on the test images",
    ):
        assert text in card
    assert b"<svg" in parts["model_card.html"]
    evaluation, manifest = (json.loads(parts[name]) for name in ("evaluation.json", "manifest.json"))
    assert evaluation["test"]["model"]["figures"]["roc_auc"] == manifest["metrics"]["roc_auc"]
    assert evaluation["test"]["operating"]["flag_at"]["sensitivity"] == manifest["metrics"]["sensitivity_at_flag"]


def test_the_manifest_states_the_images_that_chose_the_thresholds_and_those_measured(
    built: BuildResult, key: Path
) -> None:
    manifest = load_bundle(built.out, [read_public_key(key.with_name("test.key.pub"))]).manifest
    assert manifest.thresholds.chosen_on.startswith("6 normal and 6 pneumonia images of 6 patients held out")
    assert manifest.measured_on.endswith("int8 on the device's own code")
    assert {"roc_auc", "sensitivity_at_flag", "specificity_at_clear"} <= set(manifest.metrics)
    assert manifest.input.mean == round(manifest.input.mean)
    assert not manifest.released


def test_the_same_run_gives_the_same_bundle_byte_by_byte(
    toy_run: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built: BuildResult
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    requests = [
        BuildRequest(run=toy_run, out=tmp_path / name, key=read_signing_key(key)) for name in ("a.bundle", "b.bundle")
    ]
    made = [build(request) for request in requests]
    assert made[0].digest == made[1].digest == built.digest
    assert requests[0].out.read_bytes() == requests[1].out.read_bytes()


def test_without_the_images_the_manifest_has_the_metrics_of_training(
    toy_run: Path, key: Path, tmp_path: Path, built: BuildResult
) -> None:
    moved = tmp_path / "run"
    shutil.copytree(toy_run, moved)
    facts = json.loads((moved / "data.json").read_text())
    (moved / "data.json").write_text(json.dumps({**facts, "images": "/nowhere"}))
    made = build(BuildRequest(run=moved, out=tmp_path / "x.bundle", key=read_signing_key(key), seed=built.seed))
    assert made.parity is None
    assert made.digest == built.digest
    manifest = load_bundle(made.out, [read_public_key(key.with_name("test.key.pub"))]).manifest
    assert "in Keras before quantization" in manifest.measured_on


def test_images_that_changed_since_the_training_are_refused(
    toy_run: Path, key: Path, tmp_path: Path, toy: Path
) -> None:
    images = tmp_path / "images"
    shutil.copytree(toy, images)
    shutil.copy(images / "images" / "test-1.png", images / "images" / "test-0.png")
    request = BuildRequest(run=toy_run, out=tmp_path / "x.bundle", key=read_signing_key(key), images=images)
    with pytest.raises(RunError, match=r"test-0\.png: not the image"):
        build(request)
    assert not request.out.exists()


def test_a_network_that_int8_changes_too_much_is_not_written(
    toy_run: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inverted = (
        "export.int8.predictions.box_outputs",
        lambda _, images: ModelOutputs(logits=np.where(np.arange(len(images)) % 2, -9.0, 9.0)),
    )
    monkeypatch.setattr(*inverted)
    request = BuildRequest(run=toy_run, out=tmp_path / "x.bundle", key=read_signing_key(key))
    with pytest.raises(ExportError, match=r"flips \d+ of 24 labels"):
        build(request)
    assert not request.out.exists()


def test_half_a_percent_of_flips_is_the_limit() -> None:
    facts = {"flag_flips": 0, "largest_score_difference": 0.0, "largest_logit_difference": 0.0, "interpreter": ""}
    assert Parity(images=1000, label_flips=5, **facts).passed
    assert not Parity(images=1000, label_flips=6, **facts).passed
    assert MAX_FLIPPED_SHARE == 0.005


def test_golden_images_are_drawn_and_the_same_every_time() -> None:
    images = golden_inputs()
    assert images.shape == (10, 224, 224)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, golden_inputs())
    assert not np.array_equal(images, golden_inputs(seed=1))


def test_keygen_makes_a_key_that_this_user_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert exit_code(["keygen", str(tmp_path / "my.key")], monkeypatch) == 0
    made = read_signing_key(tmp_path / "my.key").public.key_id
    assert made in {trusted.key_id for trusted in trusted_keys()}
    assert made in capsys.readouterr().out
    assert exit_code(["keygen", str(tmp_path / "my.key")], monkeypatch) == 2
    assert "never overwritten" in capsys.readouterr().err


def test_inspect_shows_what_is_in_a_bundle_and_who_signed_it(
    built: BuildResult, key: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["inspect", str(built.out), "--trusted-key", f"{key}.pub"], monkeypatch) == 0
    text = capsys.readouterr().out
    for part in (
        "newer version 1 (a trial",
        "signature and digests good",
        "roc_auc",
        "audit passed",
        "parity passed",
        MODEL,
    ):
        assert part in text
    assert exit_code(["inspect", str(built.out)], monkeypatch) == 0
    assert "NOT VERIFIED" in capsys.readouterr().out
    assert exit_code(["inspect", str(built.out), "--card"], monkeypatch) == 0
    assert "## Thresholds" in capsys.readouterr().out


def test_inspect_writes_the_page_out_and_says_when_a_bundle_has_none(
    built: BuildResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["inspect", str(built.out), "--html", str(tmp_path / "card.html")], monkeypatch) == 0
    assert (tmp_path / "card.html").read_bytes() == dict(read_members(built.out))["model_card.html"]
    assert "open it in a browser" in capsys.readouterr().out
    older, _ = make_bundle(tmp_path)
    assert exit_code(["inspect", str(older), "--html", str(tmp_path / "none.html")], monkeypatch) == 2
    assert "has no model_card.html" in capsys.readouterr().err


def test_a_baseline_stands_beside_the_network_in_its_card(built: BuildResult) -> None:
    comparison = json.loads(dict(read_members(built.out))["evaluation.json"])["baseline"]
    assert (comparison["images"], comparison["model"]["name"], comparison["baseline"]["name"]) == (12, "newer", "toy")
    assert comparison["auc"]["value"] == pytest.approx(0, abs=0.05)


def test_a_baseline_without_the_images_is_a_usage_error(toy_run: Path, key: Path, tmp_path: Path) -> None:
    moved = tmp_path / "run"
    shutil.copytree(toy_run, moved)
    facts = json.loads((moved / "data.json").read_text())
    (moved / "data.json").write_text(json.dumps({**facts, "images": "/nowhere"}))
    with pytest.raises(RunError, match="--images"):
        build(BuildRequest(run=moved, out=tmp_path / "x.bundle", key=read_signing_key(key), baseline=toy_run))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "/nowhere", "--out", "x", "--key", "/nowhere.key"], "pneumoflag-export keygen"),
        (["inspect", "/nowhere.bundle"], "cannot be read"),
    ],
)
def test_an_error_is_one_line_on_the_standard_error(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(arguments, monkeypatch) == 2
    text = capsys.readouterr().err.strip()
    assert message in text
    assert len(text.splitlines()) == 1
