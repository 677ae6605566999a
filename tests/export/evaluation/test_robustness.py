from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import recall_score, roc_auc_score

from export.evaluation.robustness import CLEAN, Robustness, robustness
from train.augmentation.corruptions import CORRUPTIONS, STRENGTHS, corrupt

LABELS = np.tile([0, 1], 20)
OPERATING_LOGIT = -0.4


def images() -> np.ndarray:
    """Grey 100 in the mean for normal and 108 for pneumonia, and stripes of period 8; uint8 (40, 96, 96)."""
    random = np.random.default_rng(0)
    stripes = 20 * np.sin(2 * np.pi * np.arange(96) / 8)[:, None] * np.ones(96)
    means = 100 + 8 * LABELS + random.normal(0, 3, 40)
    return np.clip(means[:, None, None] + stripes + random.normal(0, 1, (40, 96, 96)), 0, 255).astype(np.uint8)


def brightness(batch: np.ndarray) -> tuple[np.ndarray, None]:
    """Classify by the mean grey alone, which an exposure fault changes and blur does not."""
    return batch.mean(axis=(1, 2)) / 4 - 26, None


def rows_of(rows: tuple[Robustness, ...], name: str) -> list[Robustness]:
    return [row for row in rows if row.corruption == name]


@pytest.fixture(scope="module")
def by_brightness() -> tuple[Robustness, ...]:
    return robustness(brightness, images(), LABELS, operating_logit=OPERATING_LOGIT)


def test_there_is_a_row_for_the_clean_images_and_one_for_each_corruption_and_strength(
    by_brightness: tuple[Robustness, ...],
) -> None:
    expected = [(CLEAN, 0), *((name, strength) for name in CORRUPTIONS for strength in STRENGTHS)]
    assert [(row.corruption, row.strength) for row in by_brightness] == expected
    clean = by_brightness[0]
    assert (clean.auc_change, clean.flips.value, clean.refused, clean.n) == (None, 0, None, 40)


@pytest.mark.parametrize(("name", "strength"), [("exposure", 2), ("quantum noise", 3), ("scale", 1)])
def test_a_rows_figures_are_those_of_the_corrupted_images(
    by_brightness: tuple[Robustness, ...], name: str, strength: int
) -> None:
    row = rows_of(by_brightness, name)[strength - 1]
    before, after = (brightness(each)[0] for each in (images(), corrupt(images(), name, strength)))
    decided = after >= OPERATING_LOGIT
    assert row.roc_auc.value == pytest.approx(roc_auc_score(LABELS, after))
    assert row.auc_change is not None
    assert row.auc_change.value == pytest.approx(roc_auc_score(LABELS, after) - roc_auc_score(LABELS, before))
    assert row.sensitivity.value == pytest.approx(recall_score(LABELS, decided))
    assert row.specificity.value == pytest.approx(recall_score(LABELS, decided, pos_label=0))
    assert row.flips.value == pytest.approx((decided != (before >= OPERATING_LOGIT)).mean())


def test_a_classifier_loses_by_the_corruption_of_what_it_uses(by_brightness: tuple[Robustness, ...]) -> None:
    worse, same = rows_of(by_brightness, "exposure")[2], rows_of(by_brightness, "blur")[2]
    assert worse.auc_change is not None
    assert worse.auc_change.high is not None
    assert worse.auc_change.high < -0.1
    assert same.auc_change is not None
    assert same.auc_change.low is not None
    assert same.auc_change.low > -0.02
    assert same.flips.value == 0


def test_a_classifier_that_ignores_the_image_loses_nothing() -> None:
    for row in robustness(lambda _: (LABELS * 2.0 - 1, None), images(), LABELS)[1:]:
        assert row.auc_change is not None
        assert (row.auc_change.value, row.flips.value, row.roc_auc.value) == (0, 0, 1)


def test_refusals_are_counted_and_refused_images_still_count() -> None:
    def refusing(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return brightness(batch)[0], (batch.mean(axis=(1, 2)) < 96).astype(float)

    rows = robustness(refusing, images(), LABELS, outlier_threshold=0.5)
    dark = rows_of(rows, "exposure")[2]
    expected = (corrupt(images(), "exposure", 3).mean(axis=(1, 2)) < 96).mean()
    assert dark.refused is not None
    assert dark.refused.value == pytest.approx(expected)
    assert dark.n == 40
    assert robustness(refusing, images(), LABELS)[0].refused is None


def test_progress_is_reported() -> None:
    reported: list[tuple[int, int]] = []
    robustness(brightness, images(), LABELS, on_step=lambda done, of: reported.append((done, of)))
    total = len(CORRUPTIONS) * len(STRENGTHS)
    assert reported == [(done, total) for done in range(1, total + 1)]
