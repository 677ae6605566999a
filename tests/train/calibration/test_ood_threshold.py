from __future__ import annotations

import numpy as np

from train.calibration.ood_threshold import fit_ood_rule, outlier_threshold


def two_sources(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(9).normal(0, 1, (5, 5))
    first = random.normal(0, 1, (200, 5)) @ mixing
    second = random.normal(0, 1, (200, 5)) @ mixing + 30
    return np.concatenate([first, second]).astype(np.float32), np.repeat(["a", "b"], 200)


def test_images_of_each_source_are_as_far_as_chance_has_it() -> None:
    features, image_sources = two_sources(0)
    distances = fit_ood_rule(features, image_sources).distances(two_sources(1)[0])
    # Squared Mahalanobis distances of five normal features are chi-squared with five degrees of freedom.
    assert 4.0 < distances.mean() < 6.5


def test_what_lies_between_two_sources_is_far_and_one_centre_would_miss_it() -> None:
    features, image_sources = two_sources(0)
    between = np.full((1, 5), 15, np.float32)
    assert fit_ood_rule(features, image_sources).distances(between)[0] > 100
    assert fit_ood_rule(features, np.array(["one"] * 400)).distances(between)[0] < 1


def test_rare_sources_share_a_centre() -> None:
    features, image_sources = two_sources(0)
    image_sources = image_sources.astype("U9")
    image_sources[:3] = ["x", "y", "z"]
    assert len(fit_ood_rule(features, image_sources).centres) == 3


def test_the_threshold_is_the_worst_sources_own() -> None:
    distances = np.concatenate([np.linspace(0, 10, 100), np.linspace(0, 100, 50)])
    image_sources = np.repeat(["many", "few"], [100, 50])
    assert outlier_threshold(distances, image_sources, 0.02, 1.0) == np.quantile(np.linspace(0, 100, 50), 0.98)
    assert outlier_threshold(distances, image_sources, 0.02, 2.0) == 2 * outlier_threshold(
        distances, image_sources, 0.02, 1.0
    )


def test_a_group_that_must_be_rejected_lies_farther_and_the_sources_stay_where_they_were() -> None:
    """Images that differ in one small way are lost among many features unless that way counts more."""
    random = np.random.default_rng(3)
    features = random.normal(0, 1, (600, 60)).astype(np.float32)
    sources = np.repeat(["a", "b"], 300)
    shift = np.zeros(60)
    shift[7] = 5.0
    learnt, unseen = (random.normal(0, 1, (200, 60)).astype(np.float32) + shift for _ in range(2))
    fresh = random.normal(0, 1, (600, 60)).astype(np.float32)

    def rejected_share(*groups: np.ndarray) -> float:
        fitted = fit_ood_rule(features, sources, groups)
        return float((fitted.distances(unseen.astype(np.float32)) > np.quantile(fitted.distances(fresh), 0.99)).mean())

    assert rejected_share() < 0.75
    assert rejected_share(learnt.astype(np.float32)) > 0.95
