from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device.bundle.loader import (
    GOLDEN,
    MODEL,
    Bundle,
    PublicKey,
    load_bundle,
)
from device.bundle.manifest import InputSpec, OutputSpec
from device.commands.selftest import selftest
from device.inference.backends import coral
from device.inference.backends.engine import (
    BackendUnavailable,
    Engine,
    EngineFault,
    TensorSpec,
    _dequantized,
    build_engine,
)
from device.inference.classifier import (
    BACKENDS,
    Classifier,
    ClassifyError,
    GoldenMismatch,
    UnknownBackend,
    Unsuitable,
    level_table,
    read_outputs,
)
from export.bundle.writer import golden_file
from tests.support.bundle_factory import (
    TINY,
    make_bundle,
    tiny_golden,
    tiny_image,
)

Tiny = tuple[Path, PublicKey]


def loaded(tiny: Tiny) -> Bundle:
    path, key = tiny
    return load_bundle(path, [key])


class Accelerator:
    """Stands for a Coral: the CPU's engine with a fault that can be switched on."""

    interpreter_name, version, backend = "ai-edge-litert", "99", "edgetpu"

    def __init__(self, bundle: Bundle, change: Callable[[np.ndarray], np.ndarray]) -> None:
        self._engine = build_engine(bundle.tflite, threads=1, backend="edgetpu")
        self.input, self.outputs = self._engine.input, self._engine.outputs
        self.change = change
        self.gone = False

    def run(self, tensor: np.ndarray) -> list[np.ndarray]:
        if self.gone:
            raise EngineFault("edgetpu: the device vanished")
        return [self.change(output) for output in self._engine.run(tensor)]


@pytest.fixture
def accelerator(tiny_bundle: Tiny, monkeypatch: pytest.MonkeyPatch) -> Accelerator:
    stick = Accelerator(loaded(tiny_bundle), lambda output: output)
    monkeypatch.setitem(BACKENDS, "coral", lambda _, **__: stick)
    return stick


def test_it_scores_an_image_as_the_network_does(tiny_bundle: Tiny) -> None:
    classifier = Classifier(loaded(tiny_bundle), backend="cpu", threads=1)
    dark, bright = classifier.classify(tiny_image(0.0)), classifier.classify(tiny_image(1.0))
    assert dark.logit < -3 < 1 < bright.logit
    assert dark.probability == dark.score  # this bundle is not calibrated
    assert 0 < dark.score < 0.1
    assert 0.8 < bright.score < 1
    assert bright.evidence is None
    assert bright.infer_ms > 0
    assert (classifier.runtime.backend, classifier.runtime.fell_back) == ("cpu", False)


def test_it_applies_the_bundles_calibration(tmp_path: Path) -> None:
    bundle = loaded(make_bundle(tmp_path, calibration={"method": "platt", "a": 0.5, "b": 1.0}))
    scores = Classifier(bundle, backend="cpu", threads=1).classify(tiny_image(0.5))
    assert scores.probability == pytest.approx(1 / (1 + np.exp(-(0.5 * scores.logit + 1.0))))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_image_has_the_same_logit_every_time(tiny_bundle: Tiny, threads: int) -> None:
    classifier = Classifier(loaded(tiny_bundle), backend="cpu", threads=threads)
    assert len({classifier.classify(tiny_image(0.4)).logit for _ in range(5)}) == 1


@pytest.mark.parametrize(
    "image", [np.zeros((224, 224), np.float32), np.zeros((10, 10), np.uint8), np.zeros((224, 224, 1), np.uint8)]
)
def test_it_refuses_what_is_not_a_preprocessed_image(tiny_bundle: Tiny, image: np.ndarray) -> None:
    with pytest.raises(ClassifyError, match="uint8"):
        Classifier(loaded(tiny_bundle), backend="cpu", threads=1).classify(image)


def test_it_refuses_a_network_with_other_outputs_for_the_golden_images(tmp_path: Path) -> None:
    images, logits = tiny_golden()
    wrong = golden_file(images, logits + np.float32([0, 0, 0, 0.5]))
    bundle = loaded(make_bundle(tmp_path, parts={MODEL: TINY.read_bytes(), GOLDEN: wrong}))
    with pytest.raises(GoldenMismatch, match=r"got 0\.5"):
        Classifier(bundle, backend="cpu", threads=1)


def test_it_takes_the_cpu_and_raises_an_alarm_where_coral_is_absent(
    tiny_bundle: Tiny, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        classifier = Classifier(loaded(tiny_bundle), backend="coral", threads=1)
    assert (classifier.runtime.backend, classifier.runtime.fell_back) == ("cpu", True)
    assert [record.message for record in caplog.records] == ["backend_fell_back"]
    assert classifier.classify(tiny_image(1.0)).score > 0.8


def test_auto_takes_the_cpu_without_an_alarm_when_nothing_was_compiled_for_coral(tiny_bundle: Tiny) -> None:
    classifier = Classifier(loaded(tiny_bundle), backend="auto", threads=1)
    assert (classifier.runtime.backend, classifier.runtime.fell_back) == ("cpu", False)


def test_on_a_jetson_the_cpu_runs_the_network_and_the_result_says_cpu(tiny_bundle: Tiny) -> None:
    classifier = Classifier(loaded(tiny_bundle), backend="jetson", threads=2)
    assert (classifier.runtime.backend, classifier.runtime.fell_back) == ("cpu", False)


def test_an_unknown_backend_is_named_with_the_valid_ones(tiny_bundle: Tiny) -> None:
    with pytest.raises(UnknownBackend, match="auto, cpu, coral, jetson"):
        Classifier(loaded(tiny_bundle), backend="abacus", threads=1)


def test_an_accelerator_with_the_right_outputs_is_used(tiny_bundle: Tiny, accelerator: Accelerator) -> None:
    classifier = Classifier(loaded(tiny_bundle), backend="coral", threads=1)
    assert (classifier.runtime.backend, classifier.runtime.fell_back) == ("edgetpu", False)
    assert classifier.golden_run().backend == "edgetpu"


@pytest.mark.parametrize("change", [lambda o: o[:, ::-1], lambda o: o * np.float32(np.nan), lambda o: o * 1.5])
def test_an_accelerator_with_wrong_outputs_is_replaced_by_the_cpu(
    tiny_bundle: Tiny, accelerator: Accelerator, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    accelerator.change = change
    classifier = Classifier(loaded(tiny_bundle), backend="coral", threads=1)
    assert (classifier.runtime.backend, classifier.runtime.fell_back) == ("cpu", True)


def test_an_image_is_classified_though_the_accelerator_vanishes(
    tiny_bundle: Tiny, accelerator: Accelerator, caplog: pytest.LogCaptureFixture
) -> None:
    classifier = Classifier(loaded(tiny_bundle), backend="coral", threads=1)
    before = classifier.classify(tiny_image(0.7))
    accelerator.gone = True
    with caplog.at_level(logging.ERROR):
        after = classifier.classify(tiny_image(0.7))
    assert after.logit == before.logit
    assert (classifier.runtime.backend, classifier.runtime.fell_back) == ("cpu", True)
    assert caplog.records[0].message == "backend_fell_back"


def test_nan_or_infinity_never_becomes_a_score(tiny_bundle: Tiny, accelerator: Accelerator) -> None:
    classifier = Classifier(loaded(tiny_bundle), backend="coral", threads=1)
    accelerator.change = lambda output: output * np.float32(np.inf)
    with pytest.raises(ClassifyError, match="unclassified"):
        classifier.classify(tiny_image(0.7))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preprocess_version": 99}, "preprocessing version: expected 1, got 99"),
        ({"minimum_runtime": {"ai-edge-litert": "99.0", "tflite-runtime": "99.0"}}, "99.0 or newer"),
        ({"outputs": {"kind": "logit"}}, "logits: expected 1, got 2"),
        ({"outputs": {"kind": "logits2", "logit": 3}}, "names output 3"),
        ({"input": {"shape": (1, 224, 224, 1), "dtype": "int8", "scale": 0.5, "zero_point": -128}}, "input scale"),
        (
            {"input": {"shape": (1, 224, 224, 1), "dtype": "int8", "scale": 1 / 255, "zero_point": 0}},
            "the network's input: expected",
        ),
    ],
)
def test_a_bundle_that_does_not_fit_this_box_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsuitable, match=message):
        Classifier(loaded(make_bundle(tmp_path, **changes)), backend="cpu", threads=1)


def test_a_signed_network_that_no_interpreter_opens_is_named_with_the_remedy(tmp_path: Path) -> None:
    parts = {MODEL: b"not a network", GOLDEN: golden_file(*tiny_golden())}
    with pytest.raises(BackendUnavailable, match=r"pneumoflag\[device\]"):
        Classifier(loaded(make_bundle(tmp_path, parts=parts)), backend="cpu", threads=1)


def test_a_bundle_not_compiled_for_coral_is_refused_there(tiny_bundle: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coral.ctypes, "CDLL", lambda _: None)
    with pytest.raises(BackendUnavailable, match="edgetpu_compiler"):
        coral.open_engine(loaded(tiny_bundle), threads=1)


def test_every_grey_value_has_its_own_level() -> None:
    spec = InputSpec(shape=(1, 224, 224, 1), dtype="int8", scale=1 / 255, zero_point=-5, mean=123.0)
    assert level_table(spec).astype(int).tolist() == list(range(-128, 128))


def test_a_logit_is_read_as_the_manifest_says() -> None:
    outputs = [np.float32([[1.0, 3.5]]), np.float32(np.arange(6).reshape(1, 2, 3, 1))]
    assert read_outputs(OutputSpec(kind="logits2"), outputs) == (2.5, None, None)
    assert read_outputs(OutputSpec(kind="logit", logit=0), [np.float32([[4.0]])]) == (4.0, None, None)
    read = read_outputs(OutputSpec(kind="evidence", logit=None, evidence=1, bias=-5.0, features=(1, 0)), outputs)
    assert read.logit == 10.0
    assert read.evidence is not None
    assert read.evidence.shape == (2, 3)
    assert read.features is not None
    assert read.features.tolist() == [0, 1, 2, 3, 4, 5, 1.0, 3.5]


def test_float_outputs_stay_as_they_are(tiny_bundle: Tiny) -> None:
    facts = TensorSpec(shape=(1, 2), dtype="float32", scale=0.0, zero_point=0)
    assert _dequantized(np.float32([[0.25, -1]]), facts).tolist() == [[0.25, -1.0]]


def test_an_interpreter_that_stops_is_a_fault_and_not_a_crash(tiny_bundle: Tiny) -> None:
    engine: Engine = build_engine(loaded(tiny_bundle).tflite, threads=1, backend="cpu")
    with pytest.raises(EngineFault, match="cpu"):
        engine.run(np.zeros((1, 3, 3, 1), np.int8))


def test_selftest_prints_what_it_checked_and_passes(tiny_bundle: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    path, key = tiny_bundle
    assert selftest(path, trusted=[key.where], backend="cpu", threads=1) == 0
    output = capsys.readouterr().out
    for text in ("signature  good", key.key_id, "digest     good", "golden     good", "latency", "passed"):
        assert text in output


def test_selftest_fails_for_an_untrusted_signer_with_the_remedy(
    tiny_bundle: Tiny, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert selftest(tiny_bundle[0], trusted=[], backend="cpu", threads=1) == 1
    assert "--trusted-key" in capsys.readouterr().err


def test_selftest_fails_when_the_configured_backend_is_absent(
    tiny_bundle: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    path, key = tiny_bundle
    assert selftest(path, trusted=[key.where], backend="coral", threads=1) == 1
    assert "the CPU took over" in capsys.readouterr().err
