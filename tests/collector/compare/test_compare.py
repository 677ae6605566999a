"""The comparison's figures, against plain formulas, other libraries and the study's own table."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    cohen_kappa_score,
    f1_score,
    matthews_corrcoef,
    roc_auc_score,
)
from statsmodels.stats.inter_rater import fleiss_kappa
from statsmodels.stats.multitest import multipletests

from collector.compare import (
    METRICS,
    Call,
    ConfusionMatrix,
    System,
    compare,
    reference,
)
from metrics import confusion, intervals, paired, roc
from metrics.agreement import kappa
from metrics.calibration import brier

STUDY = {"cnn": (138, 93, 3, 297), "vuno": (164, 67, 19, 281), "lunit": (121, 110, 11, 289)}
TABLE_3 = {
    "cnn": {
        "accuracy": ".8192",
        "precision": ".7615",
        "sensitivity": ".9900",
        "f1": ".8609",
        "balanced_accuracy": ".7937",
    },
    "vuno": {
        "accuracy": ".8380",
        "precision": ".8075",
        "sensitivity": ".9367",
        "f1": ".8673",
        "balanced_accuracy": ".8233",
    },
    "lunit": {
        "accuracy": ".7721",
        "precision": ".7243",
        "sensitivity": ".9633",
        "f1": ".8269",
        "balanced_accuracy": ".7436",
    },
}
counts = st.integers(0, 60)
matrices = st.builds(ConfusionMatrix, tn=counts, fp=counts, fn=counts, tp=counts)


def study_systems() -> tuple[dict[str, bool], list[System]]:
    truth = {f"c{i}": i >= 231 for i in range(531)}
    systems = []
    for name, (tn, fp, fn, tp) in STUDY.items():
        labels = [0] * tn + [1] * fp + [0] * fn + [1] * tp
        systems.append(System(name=name, calls={f"c{i}": Call(positive=bool(v)) for i, v in enumerate(labels)}))
    return truth, systems


def test_it_gives_the_studys_table_3_to_every_digit():
    figures = compare(*study_systems()).to_dict()["systems"]
    for name, row in TABLE_3.items():
        digits = {metric: f"{figures[name][metric]['value']:.4f}"[1:] for metric in row}
        assert digits == row


def test_it_gives_the_contracts_keys_and_no_nan():
    figures = json.loads(json.dumps(compare(*study_systems()).to_dict(), allow_nan=False))
    for system in figures["systems"].values():
        assert list(system) == ["n", "tn", "fp", "fn", "tp", *METRICS]
        assert all(
            value is None or set(value) == {"value", "low", "high", "method"} for value in list(system.values())[5:]
        )
    for pair in figures["pairs"]:
        assert set(pair) == {"a", "b", "sensitivity", "specificity", "accuracy", "roc_auc", "kappa"}
        assert set(pair["accuracy"]) == {"diff", "low", "high", "p", "test"}


def test_the_wilson_interval_of_the_studys_specificity_is_the_published_one():
    interval = intervals.proportion(138, 231)
    assert interval is not None
    assert (round(interval.low, 3), round(interval.high, 3)) == (0.533, 0.659)


def expand(matrix: ConfusionMatrix) -> tuple[list[int], list[int]]:
    truth = [0] * (matrix.tn + matrix.fp) + [1] * (matrix.fn + matrix.tp)
    return truth, [0] * matrix.tn + [1] * matrix.fp + [0] * matrix.fn + [1] * matrix.tp


@given(matrices.filter(lambda m: m.n > 0))
@settings(max_examples=40, deadline=None)
def test_the_figures_of_a_matrix_are_those_of_scikit_learn(matrix):
    truth, called = expand(matrix)
    truths = {str(i): bool(v) for i, v in enumerate(truth)}
    system = System(name="x", calls={str(i): Call(positive=bool(v)) for i, v in enumerate(called)})
    metrics = compare(truths, [system]).systems[0].metrics
    assert metrics["accuracy"].value == pytest.approx(accuracy_score(truth, called))
    if metrics["f1"]:
        assert metrics["f1"].value == pytest.approx(f1_score(truth, called, zero_division=0))
    if metrics["balanced_accuracy"]:
        assert metrics["balanced_accuracy"].value == pytest.approx(balanced_accuracy_score(truth, called))
    if metrics["mcc"]:
        assert metrics["mcc"].value == pytest.approx(matthews_corrcoef(truth, called), abs=1e-12)


@given(matrices)
@settings(deadline=None)
def test_every_interval_holds_its_value_and_nothing_undefined_is_a_number(matrix):
    estimates = [
        intervals.proportion(matrix.tp, matrix.positives),
        confusion.f1(matrix),
        confusion.balanced_accuracy(matrix),
        confusion.mcc(matrix),
    ]
    for estimate in estimates:
        if estimate is not None:
            assert -1 <= estimate.low <= estimate.value <= estimate.high <= 1
            assert all(map(math.isfinite, (estimate.low, estimate.value, estimate.high)))
    assert (estimates[0] is None) == (matrix.positives == 0)


def coverage(of, truth: float, rates: tuple[float, float], sizes: tuple[int, int], seed: int = 3) -> float:
    """Share of 1,000 drawn matrices whose interval holds the true value."""
    generator = np.random.default_rng(seed)
    tp, tn = (generator.binomial(n, p, 1000) for n, p in zip(sizes, rates, strict=True))
    held = drawn = 0
    for a, b in zip(tp, tn, strict=True):
        estimate = of(ConfusionMatrix(tn=int(b), fp=sizes[1] - int(b), fn=sizes[0] - int(a), tp=int(a)))
        if estimate is not None:
            drawn += 1
            held += estimate.low <= truth <= estimate.high
    return held / drawn


@pytest.mark.parametrize(
    ("rates", "sizes"), [((0.9, 0.6), (300, 231)), ((0.97, 0.9), (40, 200)), ((0.7, 0.8), (60, 60))]
)
def test_the_intervals_of_balanced_accuracy_mcc_and_f1_have_their_coverage(rates, sizes):
    sensitivity, specificity = rates
    positives, negatives = sizes
    tp, fp = sensitivity * positives, (1 - specificity) * negatives
    tn, fn = negatives - fp, positives - tp
    margins = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    assert coverage(confusion.balanced_accuracy, (sensitivity + specificity) / 2, rates, sizes) > 0.93
    assert coverage(confusion.mcc, (tp * tn - fp * fn) / margins, rates, sizes) > 0.92
    assert coverage(confusion.f1, 2 * tp / (2 * tp + fp + fn), rates, sizes) > 0.92


def plain_delong(truth: np.ndarray, scores: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Areas and covariance by DeLong's definition, every case against every control."""
    areas, v10, v01 = [], [], []
    for score in scores:
        wins = np.subtract.outer(score[truth], score[~truth])
        kernel = (wins > 0) + 0.5 * (wins == 0)
        areas.append(kernel.mean())
        v10.append(kernel.mean(axis=1))
        v01.append(kernel.mean(axis=0))
    m, n = truth.sum(), (~truth).sum()
    return np.array(areas), np.atleast_2d(np.cov(v10)) / m + np.atleast_2d(np.cov(v01)) / n


@st.composite
def scored(draw):
    truth = np.array([True, True, False, False, *draw(st.lists(st.booleans(), max_size=30))])
    scores = st.lists(st.integers(0, 8), min_size=len(truth), max_size=len(truth))
    return truth, np.array(draw(scores), float), np.array(draw(scores), float)


@given(scored())
@settings(deadline=None)
def test_the_fast_delong_is_the_plain_one_ties_included(case):
    truth, a, b = case
    areas, covariance = plain_delong(truth, [a, b])
    placements = roc.placements(truth, np.stack([a, b]))
    assert np.allclose(placements.areas, areas)
    assert np.allclose(placements.covariance, covariance)
    assert placements.areas[0] == pytest.approx(roc_auc_score(truth, a))


def test_the_paired_area_difference_is_the_plain_delong_test():
    generator = np.random.default_rng(11)
    truth = generator.random(120) < 0.4
    a, b = truth + generator.normal(size=120), truth * 0.5 + generator.normal(size=120)
    areas, covariance = plain_delong(truth, [a, b])
    spread = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    difference = roc.roc_auc_difference(truth, a, b)
    assert difference is not None
    assert difference.value == pytest.approx(areas[0] - areas[1])
    assert difference.high - difference.low == pytest.approx(2 * 1.959964 * spread, rel=1e-6)
    assert difference.p == pytest.approx(math.erfc(abs(difference.value) / spread / math.sqrt(2)))


def test_a_system_against_itself_differs_by_nothing():
    truth, score = np.array([True, False, True, False]), np.array([0.9, 0.2, 0.6, 0.7])
    difference = roc.roc_auc_difference(truth, score, score)
    assert difference is not None
    assert (difference.value, difference.low, difference.high, difference.p) == (0.0, 0.0, 0.0, 1.0)
    assert roc.roc_auc_difference(truth, truth.astype(float), -truth.astype(float)) is None
    assert roc.roc_auc_difference(truth[:2], score[:2], score[:2]) is None


def test_a_perfectly_separated_sample_still_has_an_interval():
    area = roc.roc_auc(np.array([False] * 5 + [True] * 9), np.arange(14.0))
    assert area is not None
    assert (area.value, area.high) == (1.0, 1.0)
    assert 0.5 < area.low < 0.6
    assert "smaller class" in area.method


def test_the_curve_ends_in_both_corners_and_its_area_is_the_areas():
    generator = np.random.default_rng(1)
    truth, score = generator.random(200) < 0.4, generator.integers(0, 20, 200).astype(float)
    x, y = roc.roc_curve(truth, score)
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(y, x) == pytest.approx(roc_auc_score(truth, score))


def test_the_brier_score_is_that_of_scikit_learn_and_the_bootstrap_repeats_itself():
    generator = np.random.default_rng(2)
    truth, score = generator.random(150) < 0.4, generator.random(150)
    first, second = (brier(score, truth, resamples=500, seed=7) for _ in range(2))
    assert first == second
    assert first is not None
    assert first.value == pytest.approx(brier_score_loss(truth, score))
    assert brier(score * 100, truth, resamples=500, seed=7) is None


def test_newcombes_method_10_gives_published_intervals():
    """Cavo 2012 and Bentur 2009 as worked in Fagerland, Lydersen and Laake, and one of Newcombe's own contrasts."""
    published = {
        (59, 6, 16, 80): (-0.1186, -0.0046),
        (1, 1, 7, 12): (-0.5069, -0.0256),
        (36, 12, 2, 0): (0.0569, 0.3404),
    }
    for cells, bounds in published.items():
        assert tuple(round(bound, 4) for bound in paired.newcombe10(*cells)) == bounds


def test_the_paired_interval_has_its_coverage():
    generator = np.random.default_rng(5)
    p = (0.55, 0.2, 0.1, 0.15)
    drawn = generator.multinomial(80, p, 2000)
    held = [low <= p[1] - p[2] <= high for low, high in (paired.newcombe10(*map(int, row)) for row in drawn)]
    assert np.mean(held) > 0.94


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
@settings(deadline=None)
def test_a_difference_of_swapped_systems_is_the_negative(pairs):
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    there, back = paired.proportion_difference(a, b), paired.proportion_difference(b, a)
    assert there is not None
    assert back is not None
    assert there.value == pytest.approx(-back.value)
    assert there.low == pytest.approx(-back.high)
    assert there.p == pytest.approx(back.p)
    assert 0 <= there.p <= 1
    assert there.low <= there.value <= there.high


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60))
@settings(deadline=None)
def test_kappa_is_that_of_scikit_learn(pairs):
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    agreement = kappa(a, b)
    if agreement is None:
        assert a.all() == b.all()
        assert len(set(a) | set(b)) == 1
    else:
        assert agreement == pytest.approx(cohen_kappa_score(a, b))


def test_holm_is_that_of_statsmodels():
    generator = np.random.default_rng(6)
    for size in (1, 2, 3, 6, 10, 10):
        p_values = list(np.round(generator.random(size) ** 3, 2))
        assert paired.holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_the_majority_is_the_reference_and_a_tie_is_none():
    majority = reference(
        {
            "a": {"r1": True, "r2": True, "r3": False},
            "b": {"r1": False, "r2": True},
            "c": {"r1": False},
            "d": {"r1": True, "r2": True, "r3": True},
        }
    )
    assert dict(majority.labels) == {"a": True, "c": False, "d": True}
    assert majority.ties == ("b",)
    assert majority.disagreements == ("a", "b")
    assert majority.readers == ("r1", "r2", "r3")


def test_fleiss_kappa_is_that_of_statsmodels():
    generator = np.random.default_rng(4)
    marks = generator.random((40, 3)) < generator.random((40, 1))
    reads = {str(i): {f"r{j}": bool(v) for j, v in enumerate(row)} for i, row in enumerate(marks)}
    table = np.stack([3 - marks.sum(axis=1), marks.sum(axis=1)], axis=1)
    majority = reference(reads)
    assert majority.fleiss_kappa == pytest.approx(fleiss_kappa(table))
    assert majority.fleiss_cases == 40


def test_what_is_undefined_is_null():
    nobody = System(name="none", calls={"a": Call(positive=False), "b": Call(positive=False)})
    empty = System(name="empty", calls={})
    figures = compare({"a": False, "b": False}, [nobody, empty]).to_dict()
    json.dumps(figures, allow_nan=False)
    none = figures["systems"]["none"]
    assert [none[m] for m in ("precision", "sensitivity", "f1", "balanced_accuracy", "mcc", "roc_auc", "brier")] == [
        None
    ] * 7
    assert none["specificity"]["value"] == 1.0
    assert figures["systems"]["empty"]["n"] == 0
    assert figures["systems"]["empty"]["accuracy"] is None
    assert figures["pairs"][0]["accuracy"] is None
    assert figures["pairs"][0]["kappa"] is None


def test_roc_auc_needs_a_score_for_every_counted_case():
    truth = {"a": True, "b": False, "c": True}
    calls = {"a": Call(positive=True, score=0.9), "b": Call(positive=False, score=0.2), "c": Call(positive=True)}
    outcome = compare(truth, [System(name="x", calls=calls)]).systems[0]
    assert outcome.metrics["roc_auc"] is None
    assert outcome.metrics["brier"] is None
    assert outcome.matrix.n == 3


def test_a_pair_is_compared_on_the_cases_both_called():
    truth = {str(i): i % 2 == 0 for i in range(10)}
    a = System(name="a", calls={str(i): Call(positive=True) for i in range(8)})
    b = System(name="b", calls={str(i): Call(positive=i % 2 == 0) for i in range(4, 10)})
    pair = compare(truth, [a, b]).pairs[0]
    assert pair.cases == 4
    assert pair.differences["specificity"].value == pytest.approx(-1.0)
