from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from device.bundle.manifest import Calibration, NoCalibration, Platt
from export.site.operating_point import (
    Aim,
    AimError,
    Point,
    choose_point,
    first_logit,
    needed,
    on_scale,
)
from export.site.plot import draw_point
from export.site.reads import SiteReads
from metrics.intervals import wilson_bounds


def site_of(normal: list[float], pneumonia: list[float]) -> SiteReads:
    """Return a site's images of these logits."""
    labels = [0] * len(normal) + [1] * len(pneumonia)
    names = tuple(str(index) for index in range(len(labels)))
    logits = np.array([*normal, *pneumonia], np.float64)
    return SiteReads(logits=logits, labels=np.array(labels, np.int64), patients=names, left_out={})


def plain(flag_at: float = 0.6, clear_below: float = 0.2) -> Point:
    return Point(calibration=NoCalibration(), flag_at=flag_at, clear_below=clear_below)


def shares(point: Point, site: SiteReads) -> tuple[float, float]:
    """Return the lower bounds of the sensitivity of not being clear and of the specificity of the flag."""
    probabilities = point.probabilities(site.logits)
    kept = int((probabilities[site.labels == 1] >= point.clear_below).sum())
    unflagged = int((probabilities[site.labels == 0] < point.flag_at).sum())
    bounds = wilson_bounds(kept, site.count(1))[0], wilson_bounds(unflagged, site.count(0))[0]
    return bounds[0] or 0.0, bounds[1] or 0.0


logits = st.integers(-40, 40).map(lambda step: step / 4)
images = st.builds(site_of, st.lists(logits, min_size=12, max_size=60), st.lists(logits, min_size=12, max_size=60))
aims = st.floats(0.3, 0.75)


@settings(deadline=None)
@given(images, aims, aims)
def test_an_aim_is_reached_at_the_lower_bound_and_no_better_threshold_reaches_it(
    site: SiteReads, sensitivity: float, specificity: float
) -> None:
    try:
        point = choose_point(Aim(sensitivity=sensitivity, specificity=specificity), plain(), site)
    except AimError as error:
        assert "contradict the reads" in str(error)  # noqa: PT017 - nothing else may be refused here
        return
    reached = shares(point, site)
    assert reached[0] >= sensitivity
    assert reached[1] >= specificity
    values = np.unique(point.probabilities(site.logits))
    higher = replace(point, clear_below=float(np.min(values[values >= point.clear_below], initial=1.0)))
    above = float(np.min(values[values > higher.clear_below], initial=2.0))
    assert shares(replace(point, clear_below=above, flag_at=2.0), site)[0] < sensitivity
    lower = values[values < point.flag_at]
    if len(lower) and lower[-1] > point.clear_below:
        assert shares(replace(point, flag_at=float(lower[-1])), site)[1] < specificity


@settings(deadline=None)
@given(images, aims)
def test_a_threshold_without_an_aim_stays(site: SiteReads, share: float) -> None:
    for aim, kept in ((Aim(sensitivity=share), "flag_at"), (Aim(specificity=share), "clear_below")):
        try:
            point = choose_point(aim, plain(), site)
        except AimError as error:
            assert "contradict the reads" in str(error)  # noqa: PT017
            return
        assert getattr(point, kept) == getattr(plain(), kept)
        assert point.clear_below <= point.flag_at
        assert shares(point, site)[kept == "clear_below"] >= share


def test_an_aim_and_a_given_threshold_may_be_mixed() -> None:
    site = site_of([-4.0] * 20 + [2.0], [-3.0] + [3.0] * 20)
    point = choose_point(Aim(sensitivity=0.75, flag_at=0.99), plain(), site)
    assert point.flag_at == 0.99
    assert 0.88 < point.clear_below < 0.99


def test_images_with_equal_scores_reach_no_aim() -> None:
    site = site_of([40.0] * 20, [40.0] * 20)
    with pytest.raises(AimError, match="--recalibrate, or aim lower"):
        choose_point(Aim(specificity=0.5), plain(), site)


def test_inverted_reads_are_refused() -> None:
    with pytest.raises(AimError, match=r"ROC AUC 0\.0"):
        choose_point(Aim(sensitivity=0.5), plain(), site_of([3.0, 2.5, 2.2] * 9, [-2.0, -1.0, -1.5] * 9))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8, 0.9, 0.95, 0.97, 0.99, 0.999])
def test_the_number_of_images_that_an_aim_needs_is_the_smallest(share: float) -> None:
    count = needed(share)
    assert wilson_bounds(count, count)[0] >= share > (wilson_bounds(count - 1, count - 1)[0] if count > 1 else 0)


# Refitted probabilities.


def test_recalibration_alone_changes_no_flag() -> None:
    random = np.random.default_rng(0)
    site = site_of(list(random.normal(-1, 2, 60)), list(random.normal(3, 2, 60)))
    before = Point(calibration=Platt(a=0.5, b=1.0), flag_at=0.8, clear_below=0.4)
    after = choose_point(Aim(recalibrate=True), before, site)
    assert after.calibration != before.calibration
    for name in ("flag_at", "clear_below"):
        old, new = (point.probabilities(site.logits) >= getattr(point, name) for point in (before, after))
        np.testing.assert_array_equal(old, new)


def test_recalibration_needs_images_of_both_labels_that_the_network_separates() -> None:
    with pytest.raises(AimError, match=r"expected at least 20 .*, got 19 normal and 30 pneumonia .*; add reads"):
        choose_point(Aim(recalibrate=True), plain(), site_of([-1.0] * 19, [1.0] * 30))
    with pytest.raises(AimError, match="do not rise with the reads"):
        choose_point(Aim(recalibrate=True), plain(), site_of([-1.0, 1.0] * 15, [1.0, -1.01] * 15))


calibrations = st.sampled_from(
    [
        {"method": "none"},
        {"method": "platt", "a": 0.4, "b": 1.0},
        {"method": "temperature", "t": 3.0},
        {"method": "isotonic", "logits": [-2.0, 0.0, 0.5, 3.0], "probabilities": [0.0, 0.2, 0.2, 0.9]},
    ]
)


@settings(deadline=None)
@given(calibrations, st.floats(0, 1), st.floats(-30, 30, width=32))
def test_a_point_on_another_scale_divides_images_where_it_did(
    facts: dict[str, Any], threshold: float, logit: float
) -> None:
    calibration = TypeAdapter(Calibration).validate_python(facts)
    first = first_logit(calibration, threshold)
    assert (calibration.apply(logit) >= threshold) == (logit >= first)
    point = Point(calibration=calibration, flag_at=threshold, clear_below=threshold)
    moved = on_scale(point, Platt(a=0.3, b=0.1))
    assert (moved.calibration.apply(logit) >= moved.flag_at) == (calibration.apply(logit) >= threshold)


@pytest.mark.parametrize("point", [plain(1.0, 0.0), plain(1.0, 1.0), plain(0.0, 0.0), plain(1e-12, 1e-13)])
def test_points_at_the_ends_can_be_drawn(point: Point) -> None:
    assert draw_point(plain(), point, site_of([-40.0, 0.0], [40.0, 0.0])).startswith(b"<?xml")
