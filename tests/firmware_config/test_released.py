"""The bundles under firmware_config: their own checks, and their figures on images where these are present."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import rankdata

from device.bundle.keys import read_public_key
from device.bundle.loader import Bundle, load_bundle
from device.dicom.reader import read_grey
from device.inference.classifier import Classifier

FOLDER = Path(__file__).resolve().parents[2] / "firmware_config"
RELEASE_KEYS = sorted((FOLDER / "keys").glob("*.pub"))
POPULATIONS = ("adult", "paediatric")
MOST_BYTES = 5_000_000
MAX_IMAGES = 60


def bundle_of(population: str) -> Bundle:
    (path,) = (FOLDER / "bundles").glob(f"*{population}*.bundle")
    return load_bundle(path, [read_public_key(key) for key in RELEASE_KEYS])


@pytest.fixture(scope="module")
def box() -> Callable[[str], Classifier]:
    """A box's classifier with the released bundle of a population."""
    opened: dict[str, Classifier] = {}

    def classifier(population: str) -> Classifier:
        if population not in opened:
            opened[population] = Classifier(bundle_of(population), backend="cpu", threads=1)
        return opened[population]

    return classifier


@pytest.mark.parametrize("population", POPULATIONS)
def test_it_is_signed_by_a_release_key_and_fits_every_box(population: str) -> None:
    bundle = bundle_of(population)
    assert bundle.manifest.released
    assert bundle.manifest.outliers is not None
    assert len(bundle.tflite) < MOST_BYTES
    assert {"model_card.md", "model_card.html", "audit.json", "parity.json"} <= set(bundle.manifest.files)


@pytest.mark.parametrize("population", POPULATIONS)
def test_it_passes_its_golden_set(box: Callable[[str], Classifier], population: str) -> None:
    assert box(population).golden.passed


def test_each_classifies_its_own_ages_only() -> None:
    adult, paediatric = (bundle_of(population).manifest.ages for population in POPULATIONS)
    assert (adult.min_years, adult.max_years) == (20, None)
    assert (paediatric.min_years, paediatric.max_years) == (1, 5)


@pytest.mark.parametrize("population", POPULATIONS)
def test_a_picture_that_is_no_radiograph_is_out_of_distribution(
    box: Callable[[str], Classifier], population: str
) -> None:
    random = np.random.default_rng(0)
    stripes = np.tile(np.where(np.arange(224) % 32 < 16, 40, 210), (224, 1))
    pictures = [random.integers(0, 256, (224, 224)), stripes, np.full((224, 224), 128) + 40 * np.eye(224)]
    classifier = box(population)
    assert not any(classifier.classify(picture.astype(np.uint8)).in_distribution for picture in pictures)


def logits(classifier: Classifier, adult: Path, source: str, label: str) -> np.ndarray:
    with (adult / "manifest.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "test"]
    chosen = [row["file"] for row in rows if (row["source"], row["label"]) == (source, label)][:MAX_IMAGES]
    return np.array([classifier.classify(read_grey(adult / file)).logit for file in chosen])


def auc(lower: np.ndarray, higher: np.ndarray) -> float:
    ranks = rankdata(np.concatenate([higher, lower]))[: len(higher)]
    return float((ranks.sum() - len(higher) * (len(higher) + 1) / 2) / (len(higher) * len(lower)))


def test_the_adult_network_separates_pneumonia_and_not_sources(
    box: Callable[[str], Classifier], shared_data: Path
) -> None:
    """Normals of two sources must score alike; docs/experiments.md has the figures of all test images."""
    classifier, adult = box("adult"), shared_data / "adult"
    normal, pneumonia = (logits(classifier, adult, "SIIM_COVID19", label) for label in ("normal", "pneumonia"))
    nih_normal, nih_pneumonia = (logits(classifier, adult, "NIH_talo", label) for label in ("normal", "pneumonia"))
    rsna_normal = logits(classifier, adult, "RSNA_normal", "normal")
    assert auc(normal, pneumonia) > 0.80
    assert auc(nih_normal, nih_pneumonia) > 0.75
    assert auc(rsna_normal, nih_pneumonia) > 0.80
    assert 0.35 <= auc(nih_normal, rsna_normal) <= 0.65
    assert 0.35 <= auc(normal, rsna_normal) <= 0.65
