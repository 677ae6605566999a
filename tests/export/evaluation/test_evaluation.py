from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.evaluation.baseline import Decisions, compare_with_baseline
from export.evaluation.curves import roc, training_curves
from export.evaluation.evaluation import Evaluation
from export.evaluation.evaluation_input import refused
from export.evaluation.occlusion import DRAWS
from export.evaluation.operating_curve import complement, operating_curve, review
from export.evaluation.published import published
from export.evaluation.sampled_robustness import MOST_OF_A_CLASS, sampled_images
from export.int8.predictions import HeldOutPredictions
from metrics.confusion import ConfusionMatrix, balanced_accuracy
from metrics.intervals import proportion
from metrics.paired import mcnemar
from metrics.roc import roc_auc_difference
from tests.export.evaluated import THRESHOLDS, drawn_images, evaluate_on_box, evaluation_input
from train.data.selection import select
from train.networks.predictor import ModelOutputs
from train.run.report import STUDY_MEASURES, summarise
from train.run.run_folder import RunError
from train.run.trained_run import load_trained_run


@pytest.fixture(scope="module")
def sample() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, some of them equal and some on a threshold, and labels that correlate with them."""
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, 300)
    return np.round(np.clip(random.normal(0.35 + 0.3 * labels, 0.2), 0, 1), 2), labels


@pytest.fixture(scope="module")
def evaluation(toy_run: Path) -> Evaluation:
    return evaluate_on_box(evaluation_input(toy_run, drawn_images(60)))


def test_the_operating_curve_equals_plain_counting(sample: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, labels = sample
    curve = operating_curve(probabilities, labels, flag_at=0.6, clear_below=0.4)
    positive = [p for p, y in zip(probabilities, labels, strict=True) if y]
    negative = [p for p, y in zip(probabilities, labels, strict=True) if not y]
    for point in curve.points:
        t = point.threshold
        assert point.sensitivity == sum(p >= t for p in positive) / len(positive)
        assert point.specificity == sum(p < t for p in negative) / len(negative)
        assert point.below == sum(p < t for p in probabilities) / len(probabilities)
        lower = sum(t <= p < 0.6 for p in probabilities) / len(probabilities) if t <= 0.6 else None
        upper = sum(0.4 <= p < t for p in probabilities) / len(probabilities) if t >= 0.4 else None
        assert (point.review_if_clear_below, point.review_if_flag_at) == (lower, upper)


def test_both_thresholds_in_force_are_on_the_curve_with_their_intervals(sample: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, labels = sample
    curve = operating_curve(probabilities, labels, flag_at=0.617, clear_below=0.401)
    assert {0.617, 0.401} <= {point.threshold for point in curve.points}
    flagged = int(((probabilities >= 0.617) & (labels == 1)).sum())
    assert curve.flag_at.sensitivity == proportion(flagged, int(labels.sum()))
    assert curve.clear_below.false_alarms.value == pytest.approx(np.mean(probabilities[labels == 0] >= 0.401))
    assert sum(sum(counts.values()) for counts in curve.flags.values()) == len(labels)


def test_the_review_band_equals_plain_counting(
    sample: tuple[np.ndarray, np.ndarray],
) -> None:
    probabilities, labels = sample
    band = review(probabilities, labels, flag_at=0.6, clear_below=0.4)
    inside = errors = errors_inside = 0
    for p, y in zip(probabilities, labels, strict=True):
        flag = "pneumonia" if p >= 0.6 else "clear" if p < 0.4 else "review"
        decided = {"pneumonia": 1, "clear": 0, "review": int(p >= 0.5)}[flag]
        inside += flag == "review"
        errors += decided != y
        errors_inside += decided != y and flag == "review"
    assert (band.inside, band.errors, band.errors_inside) == (inside, errors, errors_inside)
    assert band.share == proportion(inside, 300)
    assert band.share_of_errors == proportion(errors_inside, errors)


def test_without_an_error_the_share_of_errors_in_review_is_undefined() -> None:
    band = review(np.array([0.1, 0.9]), np.array([0, 1]), flag_at=0.6, clear_below=0.4)
    assert (band.errors, band.share_of_errors) == (0, None)


def test_the_complement_of_a_share_keeps_its_interval() -> None:
    share, expected = complement(proportion(90, 100)), proportion(10, 100)
    assert (share.value, share.low, share.high) == pytest.approx((expected.value, expected.low, expected.high))
    assert complement(None) is None


def test_a_distance_that_is_not_a_number_is_refused_as_on_a_box() -> None:
    outputs = ModelOutputs(logits=np.zeros(3), distances=np.array([1.0, 3.0, np.nan]))
    assert refused(outputs, 2.0).tolist() == [False, True, True]
    assert refused(outputs, None) is None


def test_corruptions_are_measured_on_as_many_images_of_each_class_as_stated_and_on_the_same_ones() -> None:
    labels = np.repeat([0, 1], [1000, 30])
    chosen = sampled_images(labels)
    assert (chosen[labels == 0].sum(), chosen[labels == 1].sum()) == (MOST_OF_A_CLASS, 30)
    np.testing.assert_array_equal(chosen, sampled_images(labels))


def test_the_evaluation_has_every_part_and_is_json_without_nan(evaluation: Evaluation) -> None:
    assert evaluation.test.counts == {"normal": 30, "pneumonia": 30, "patients": 30}
    assert len(evaluation.robustness.rows) == 37
    assert evaluation.occlusion is not None
    assert evaluation.occlusion.difference.value > 0
    assert evaluation.test.refused is not None
    assert 0 < evaluation.test.refused.value < 1
    assert len(evaluation.test.net_benefit) == 99
    assert [row.field for row in evaluation.test.groups] == ["all", "view", "view"]
    assert evaluation.further == evaluation.separation == ()
    text = json.dumps(evaluation.to_dict(), allow_nan=False)
    assert json.loads(text)["test"]["operating"]["flag_at"]["threshold"] == THRESHOLDS["flag_at"]


def test_progress_is_reported_to_the_end(toy_run: Path) -> None:
    reported: dict[str, tuple[int, int]] = {}
    evaluate_on_box(
        evaluation_input(toy_run, drawn_images(24)),
        on_progress=lambda what, done, of: reported.update({what: (done, of)}),
    )
    assert reported == {"classifying corrupted images": (36, 36), "hiding evidence": (2 + DRAWS, 2 + DRAWS)}


def test_sources_whose_labels_do_not_count_are_never_pooled_with_the_others(toy_run: Path) -> None:
    images = drawn_images(80, sources=("own", "second"))
    data: dict[str, Any] = {"data": {"measured_sources": ["own"]}}
    evaluation = evaluate_on_box(evaluation_input(toy_run, images, recipe=data))
    assert evaluation.test.counts["normal"] == evaluation.test.model.figures.tn + evaluation.test.model.figures.fp == 20
    assert (evaluation.robustness.normal, evaluation.robustness.of) == (20, 40)
    (beside,) = evaluation.further
    assert beside.sources == ("own", "second")
    assert "all" not in {row.field for row in beside.groups}
    assert {row.value for row in beside.groups if row.field == "source"} == {"own", "second"}
    separated = [(row.label, row.first, row.second) for row in evaluation.separation]
    assert separated == [(0, "own", "second"), (1, "own", "second")]


def test_a_further_manifest_is_measured_apart_under_its_name(toy_run: Path) -> None:
    further = drawn_images(30, seed=5)
    plain = evaluation_input(toy_run, drawn_images(40))
    box: Any = plain.classifier
    outputs = ModelOutputs(logits=np.array([box.classify(image).logit for image in further.images]))
    evaluation = evaluate_on_box(
        replace(
            plain,
            predictions={
                **plain.predictions,
                "clinic": HeldOutPredictions(dataset=further, keras=outputs, int8=outputs),
            },
        )
    )
    assert evaluation.test.counts["normal"] == 20
    (beside,) = evaluation.further
    assert (beside.name, beside.counts["normal"], beside.groups[0].field) == ("clinic", 15, "all")
    assert {(row.first, row.second) for row in evaluation.separation} == {("clinic", "test")}


def _baseline(run: Path, place: Path, images: Any, logits: np.ndarray, labels: np.ndarray | None = None) -> Path:
    """Copy `run` as if it had been measured on `images`, with these logits."""
    shutil.copytree(run, place)
    labels = images.labels if labels is None else labels
    seed = place / f"seed-{summarise(run).representative_seed}"
    names = [f"elsewhere/{case}" for case in images.files]
    parts = [("test", name, digest) for name, digest in zip(names, images.digests, strict=True)]
    scores = [(name, label, 0, logit) for name, label, logit in zip(names, labels, logits, strict=True)]
    decisions = [(name, int(logit > 0), 0) for name, logit in zip(names, logits, strict=True)]
    _write(place / "images.csv", ("part", "file", "sha256"), parts)
    _write(seed / "scores.csv", ("case_id", "label", "score", "logit"), scores)
    _write(seed / "decisions.csv", ("case_id", "label", "score"), decisions)
    return place


def _write(path: Path, header: tuple[str, ...], lines: list[tuple[Any, ...]]) -> None:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *lines])


def _decisions(images: Any, seed: int, strength: float) -> Decisions:
    logits = np.random.default_rng(seed).normal(strength * (2 * images.labels - 1), 1)
    return Decisions(logits=logits, decided=logits >= 0)


def test_a_baseline_is_paired_image_by_image_whatever_its_manifest_calls_them(toy_run: Path, tmp_path: Path) -> None:
    images = drawn_images(60)
    model, baseline_decisions = _decisions(images, 1, 1.5), _decisions(images, 2, 0.3)
    there = np.arange(60) >= 10
    kept = select(images, there)
    baseline = _baseline(toy_run, tmp_path / "base", kept, baseline_decisions.logits[there])
    comparison = compare_with_baseline("own", images, model, load_trained_run(toy_run), baseline)
    assert (comparison.images, comparison.normal, comparison.pneumonia, comparison.left_out) == (50, 25, 25, 10)
    positive = images.labels[there] == 1
    assert comparison.auc == roc_auc_difference(positive, model.logits[there], baseline_decisions.logits[there])
    assert comparison.mcnemar == mcnemar(
        model.decided[there] == positive, baseline_decisions.decided[there] == positive
    )
    areas = [
        balanced_accuracy(ConfusionMatrix.from_calls(positive, c.decided[there])) for c in (model, baseline_decisions)
    ]
    assert comparison.balanced_accuracy.value == pytest.approx(areas[0].value - areas[1].value)
    assert "int8" in comparison.model.form
    assert "Keras" in comparison.baseline.form


@pytest.mark.parametrize("wrong", ["labels", "images", "itself", "nothing"])
def test_a_baseline_that_does_not_fit_is_refused(toy_run: Path, tmp_path: Path, wrong: str) -> None:
    images = drawn_images(20)
    model = _decisions(images, 1, 1.0)
    baseline = _baseline(
        toy_run, tmp_path / "base", images, model.logits, 1 - images.labels if wrong == "labels" else None
    )
    if wrong == "nothing":
        (baseline / "images.csv").unlink()
    own_images = drawn_images(20, seed=9) if wrong == "images" else images
    with pytest.raises(RunError, match=r"base|run itself"):
        if wrong == "itself":
            evaluate_on_box(evaluation_input(toy_run, images, baseline=toy_run))
        compare_with_baseline("own", own_images, model, load_trained_run(toy_run), baseline)


def test_a_thinned_roc_curve_keeps_its_ends_and_the_networks_own_point() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 3000)
    logits = random.normal(labels, 1)
    curve = roc(labels == 1, logits, logits >= 0.5)
    assert len(curve.false_positive) <= 200
    assert (curve.false_positive[0], curve.false_positive[-1], curve.true_positive[-1]) == (0, 1, 1)
    assert curve.own == (np.mean(logits[labels == 0] >= 0.5), np.mean(logits[labels == 1] >= 0.5))


def test_every_seed_has_a_training_curve(toy_run: Path) -> None:
    curves = training_curves(load_trained_run(toy_run))
    assert [curve.seed for curve in curves] == [1, 2]
    assert curves[0].batches == (1, 2, 3, 4)
    assert 0 <= curves[0].accuracy[0] <= 1


def test_the_studys_matrices_give_the_figures_it_printed() -> None:
    first, vuno, lunit = published()
    assert first.figures.balanced_accuracy.value == pytest.approx(STUDY_MEASURES["balanced_accuracy"], abs=1e-4)
    assert first.figures.specificity.value == pytest.approx(STUDY_MEASURES["specificity"], abs=1e-4)
    assert vuno.figures.balanced_accuracy.value == pytest.approx(0.82331, abs=1e-5)
    assert lunit.figures.accuracy.value == pytest.approx(0.7721, abs=1e-4)
