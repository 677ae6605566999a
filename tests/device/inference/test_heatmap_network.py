"""A real int8 network with an evidence map and features: logit, normalization, out-of-distribution images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device.bundle.loader import (
    GOLDEN,
    MODEL,
    OUTLIERS,
    BadOutliers,
    Bundle,
    NotABundle,
    PublicKey,
    load_bundle,
)
from device.commands.selftest import selftest
from device.inference.classifier import (
    BACKENDS,
    Classifier,
    GoldenMismatch,
    Unsuitable,
)
from export.bundle.writer import golden_file
from tests.support.bundle_factory import (
    OUTLIER_THRESHOLD,
    TINY_EVIDENCE,
    bright_image,
    make_evidence_bundle,
    outliers_file,
    tiny_evidence,
    tiny_golden,
    tiny_image,
)


def loaded(made: tuple[Path, PublicKey]) -> Bundle:
    return load_bundle(made[0], [made[1]])


def opened(made: tuple[Path, PublicKey]) -> Classifier:
    return Classifier(loaded(made), backend="cpu", threads=1)


@pytest.fixture
def classifier(tmp_path: Path) -> Classifier:
    return opened(make_evidence_bundle(tmp_path))


def test_the_logit_is_the_sum_of_the_map(classifier: Classifier) -> None:
    for brightness in (0.0, 0.4, 1.0):
        scores = classifier.classify(tiny_image(brightness))
        assert scores.evidence is not None
        assert (scores.evidence.shape, scores.evidence.dtype) == ((7, 7), np.float32)
        assert scores.logit == pytest.approx(float(scores.evidence.sum(dtype=np.float64)))
    assert scores.evidence[3, 3] > 0 > scores.evidence[0, 0]


def test_the_bias_is_added_to_the_sum_of_the_map(tmp_path: Path, classifier: Classifier) -> None:
    image = tiny_image(0.6)
    biased = opened(make_evidence_bundle(tmp_path, name="biased.bundle", bias=1.5)).classify(image)
    plain = classifier.classify(image)
    assert biased.logit == pytest.approx(plain.logit + 1.5)
    assert np.array_equal(biased.evidence, plain.evidence)


def test_training_images_are_near_and_an_unusual_one_is_far(classifier: Classifier) -> None:
    near = classifier.classify(tiny_image(1.0))
    assert near.distance == pytest.approx(0.0, abs=1e-6)
    assert near.in_distribution
    strange = classifier.classify(bright_image())
    assert strange.distance is not None
    assert strange.distance > OUTLIER_THRESHOLD
    assert not strange.in_distribution


def test_without_a_rule_every_image_is_classified(tmp_path: Path) -> None:
    bundle = loaded(make_evidence_bundle(tmp_path, parts=_parts_without_rule(), threshold=None))
    assert bundle.outliers is None
    scores = Classifier(bundle, backend="cpu", threads=1).classify(bright_image())
    assert (scores.distance, scores.in_distribution) == (None, True)


def _parts_without_rule() -> dict[str, bytes]:
    images = tiny_golden()[0]
    logits = np.float32([output.logit for output in tiny_evidence(list(images))])
    return {MODEL: TINY_EVIDENCE.read_bytes(), GOLDEN: golden_file(images, logits)}


def test_a_distance_of_nan_is_out_of_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        interpreter_name, version, backend = "ai-edge-litert", "99", "edgetpu"

        def __init__(self, bundle: Bundle, **_: Any) -> None:
            self._engine = BACKENDS["cpu"](bundle, threads=1)
            self.input, self.outputs = self._engine.input, self._engine.outputs

        def run(self, tensor: np.ndarray) -> list[np.ndarray]:
            level, evidence, edges = self._engine.run(tensor)
            return [level * np.float32(np.nan), evidence, edges]

    monkeypatch.setitem(BACKENDS, "coral", Broken)
    classifier = Classifier(loaded(make_evidence_bundle(tmp_path)), backend="coral", threads=1)
    scores = classifier.classify(tiny_image(1.0))
    assert np.isfinite(scores.logit)
    assert not scores.in_distribution


def test_an_image_gets_the_intensity_normalization_of_the_network_first(tmp_path: Path) -> None:
    classifier = opened(make_evidence_bundle(tmp_path, normalization="smooth"))
    half, full = classifier.classify(tiny_image(0.5)), classifier.classify(tiny_image(1.0))
    # The normalization removes the brightness: a disc half as bright is nearly the same image.
    assert abs(half.logit - full.logit) < 0.3
    assert full.logit == pytest.approx(tiny_evidence([tiny_image(1.0)], normalization="smooth")[0].logit)


def test_golden_images_are_normalized_too(tmp_path: Path) -> None:
    images = tiny_golden()[0]
    without = np.float32([output.logit for output in tiny_evidence(list(images), normalization="none")])
    parts = {MODEL: TINY_EVIDENCE.read_bytes(), GOLDEN: golden_file(images, without), OUTLIERS: outliers_file()}
    with pytest.raises(GoldenMismatch):
        opened(make_evidence_bundle(tmp_path, normalization="smooth", parts=parts))


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"evidence": 3}, "names output 3"),
        ({"features": [0, 7]}, "names output 7"),
        ({"features": [0]}, "features for the outlier rule: expected 5, got 2"),
        ({"evidence": 0, "features": [1]}, "expected a map"),
    ],
)
def test_outputs_that_the_network_does_not_have_are_named(
    tmp_path: Path, outputs: dict[str, Any], message: str
) -> None:
    whole = {"kind": "evidence", "logit": None, "evidence": 1, "features": [0, 2], **outputs}
    with pytest.raises(Unsuitable, match=message):
        opened(make_evidence_bundle(tmp_path, outputs=whole))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"no archive", "cannot be read"),
        (outliers_file()[:-40], "cannot be read"),
        (outliers_file(whiten=np.eye(5)), r"float64 \(5, 5\)"),
        (outliers_file(whiten=np.eye(4, dtype=np.float32)), r"\(4, 4\)"),
        (outliers_file(centres=np.zeros(5, np.float32)), r"got float32 \(5,\)"),
        (outliers_file(centres=np.zeros((0, 5), np.float32)), r"\(0, 5\)"),
        (outliers_file(centres=np.full((1, 5), np.nan, np.float32)), "NaN or infinity"),
        (outliers_file(whiten=np.array([None] * 5, dtype=object)), "cannot be read"),
    ],
)
def test_a_damaged_outlier_rule_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(BadOutliers, match=message):
        loaded(make_evidence_bundle(tmp_path, outliers=content))


def test_a_rule_that_the_manifest_names_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(NotABundle, match=OUTLIERS):
        loaded(make_evidence_bundle(tmp_path, parts=_parts_without_rule()))


def test_selftest_passes_it(tmp_path: Path) -> None:
    path, key = make_evidence_bundle(tmp_path)
    assert selftest(path, trusted=[key.where], backend="cpu", threads=1) == 0
