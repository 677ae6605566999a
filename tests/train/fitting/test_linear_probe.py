from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from train.fitting.linear_probe import ProbeTrainingSet, fit_linear_probe, held_out_logits
from train.recipe import RuleSection


def training_set(*, count: int = 400, source: int = 0) -> ProbeTrainingSet:
    """Channel 0 says the label; channel 1 says it too, and differs between sources (`source` images) of one label."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, count)
    means = random.normal(0, 1, (count, 6)) * [1, 1, 1, 3, 0.1, 10]
    means[:, :2] += labels[:, None] * 1.5
    others = random.normal(0, 1, (source, 6)) * [1, 1, 1, 3, 0.1, 10] + [0, 4, 0, 0, 0, 0]
    groups = np.array([f"p{index // 2}" for index in range(count)])
    return ProbeTrainingSet(means=means, labels=labels, groups=groups, others=((0, others),) if source else ())


def test_without_a_penalty_it_is_scikit_learns_logistic_regression() -> None:
    shown = training_set()
    rule = fit_linear_probe(shown, RuleSection(c=0.5))
    standard = (shown.means - shown.means.mean(axis=0)) / (shown.means.std(axis=0) + 1e-6)
    plain = LogisticRegression(C=0.5, max_iter=3000).fit(standard, shown.labels)
    np.testing.assert_allclose(rule.logits(shown.means), plain.decision_function(standard), atol=1e-5)


@pytest.mark.parametrize(("penalty", "least", "most"), [(0.0, 6.0, 7.5), (0.3, 4.0, 6.0), (100.0, 0.0, 0.3)])
def test_the_penalty_takes_away_what_differs_between_sources_of_one_label(
    penalty: float, least: float, most: float
) -> None:
    shown = training_set(source=200)
    rule = fit_linear_probe(shown, RuleSection(c=0.5, source_penalty=penalty))
    here, there = rule.logits(shown.means[shown.labels == 0]), rule.logits(shown.others[0][1])
    # Negative control: unpunished, the other source scores as if it were ill.
    assert least <= abs(there.mean() - here.mean()) < most
    assert rule.weights[0] > 0.5


def test_held_out_logits_come_from_rules_that_did_not_see_the_patient() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 120)
    nothing = ProbeTrainingSet(
        means=random.normal(0, 1, (120, 100)), labels=labels, groups=np.array([f"p{i}" for i in range(120)])
    )
    section = RuleSection(c=10.0)
    assert roc_auc_score(labels, fit_linear_probe(nothing, section).logits(nothing.means)) > 0.95
    assert roc_auc_score(labels, held_out_logits(nothing, section, 0)) < 0.65


def test_the_penalty_on_noise_leaves_channels_that_int8_blurs() -> None:
    """Two channels say the label equally well; int8 blurs the first."""
    random = np.random.default_rng(4)
    labels = random.integers(0, 2, 600)
    said = labels[:, None] * 2.0 + random.normal(0, 1, (600, 1))
    means = said + random.normal(0, 0.3, (600, 2))
    noise = random.normal([3.0, 0.0], [0.5, 0.01], (600, 2))
    shown = ProbeTrainingSet(means=means, labels=labels, groups=np.array([f"p{i}" for i in range(600)]), noise=noise)
    deaf, told = (fit_linear_probe(shown, RuleSection(c=0.5, noise_penalty=penalty)) for penalty in (0.0, 1000.0))
    assert deaf.weights[0] > 0.5 * deaf.weights[1]
    assert told.weights[0] < 0.1 * told.weights[1]
    moved = [(noise @ rule.weights).std() / rule.logits(means).std() for rule in (deaf, told)]
    assert moved[1] < 0.2 * moved[0]
    assert roc_auc_score(labels, told.logits(means)) > roc_auc_score(labels, deaf.logits(means)) - 0.02


def test_what_int8_adds_to_every_image_alike_costs_nothing() -> None:
    shown = training_set()
    steady = ProbeTrainingSet(
        means=shown.means, labels=shown.labels, groups=shown.groups, noise=np.tile([5.0, 0, 0, 0, 0, 0], (10, 1))
    )
    section = RuleSection(c=0.5, noise_penalty=1000.0)
    np.testing.assert_allclose(
        fit_linear_probe(steady, section).weights, fit_linear_probe(shown, section).weights, rtol=1e-6
    )


def test_the_penalty_on_changes_leaves_channels_that_another_exposure_moves() -> None:
    """Two channels say the label equally well; another exposure of the same patient moves the first, always up."""
    random = np.random.default_rng(5)
    labels = random.integers(0, 2, 600)
    means = labels[:, None] * 2.0 + random.normal(0, 1, (600, 2))
    changes = np.stack([np.full((1, 600), 2.0), random.normal(0, 0.1, (1, 600))], axis=2)
    shown = ProbeTrainingSet(
        means=means, labels=labels, groups=np.array([f"p{i}" for i in range(600)]), changes=changes
    )
    deaf, told = (fit_linear_probe(shown, RuleSection(c=0.5, change_penalty=penalty)) for penalty in (0.0, 100.0))
    moved = [abs((changes @ rule.weights).mean()) for rule in (deaf, told)]
    assert moved[1] < 0.2 * moved[0]
    assert told.weights[1] > 0.5


def test_an_image_that_is_held_out_is_held_out_with_its_changed_copies() -> None:
    shown = training_set(count=8)
    changes = np.arange(2 * 8 * 6, dtype=np.float64).reshape(2, 8, 6)
    some = replace(shown, changes=changes).among(np.array([1, 5]))
    assert some.changes is not None
    np.testing.assert_array_equal(some.changes, changes[:, [1, 5]])
