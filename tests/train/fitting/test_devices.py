"""What GPUs would be asked to do, done by processors: batches spread over two devices, and networks in float16."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.support.toy_images import COUNTS, RECIPE
from tests.train.fitting.spread import EDGE, STUDY
from train.data.dataset import LabelledImages, load_dataset
from train.fitting.devices import make_deterministic, precision, strategy
from train.fitting.fine_tune import fine_tune
from train.fitting.from_scratch import fit
from train.fitting.train_network import train_network
from train.networks.predictor import Predictor, predict
from train.recipe import Recipe


@pytest.fixture(scope="module")
def parts(toy: Path) -> dict[str, LabelledImages]:
    return load_dataset(toy / "manifest.csv", toy, STUDY.data)


@pytest.fixture(scope="module")
def spread(toy: Path, project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    out = tmp_path_factory.mktemp("spread") / "found.npz"
    command = [sys.executable, "-m", "tests.train.fitting.spread", str(toy), str(out)]
    subprocess.run(command, cwd=project_root, check=True, capture_output=True)
    with np.load(out) as arrays:
        return dict(arrays)


@pytest.mark.timeout(900)  # the first test that asks for it trains on both devices
def test_every_device_takes_its_share_of_every_batch(spread: dict[str, np.ndarray]) -> None:
    steps = STUDY.epochs * COUNTS["train"] // STUDY.batch_size
    assert spread["shares"].tolist() == [STUDY.batch_size // 2] * 2 * steps
    assert set(spread["used"]) == {2}


def test_the_study_network_comes_out_as_on_one_device(
    spread: dict[str, np.ndarray], parts: dict[str, LabelledImages]
) -> None:
    alone = fit(STUDY, parts["train"], 1)
    np.testing.assert_allclose(spread["losses"], [step.loss for step in alone.history], rtol=1e-4)
    for index, weight in enumerate(alone.network.get_weights()):
        np.testing.assert_allclose(spread[f"weight{index}"], weight, atol=1e-6)
    logits = predict(Predictor(network=alone.network, mean=alone.mean), parts["test"].images).logits
    assert spread["logits"].shape == (COUNTS["test"],)
    np.testing.assert_allclose(spread["logits"], logits, atol=1e-3)


def test_fine_tuning_comes_out_nearly_as_on_one_device(
    spread: dict[str, np.ndarray], parts: dict[str, LabelledImages]
) -> None:
    """Each half's gradient is clipped by itself, so weights differ a little; without spreading they would be equal."""
    make_deterministic(1)
    alone = fine_tune(EDGE, parts["train"], 1)
    assert len(spread["edge_losses"]) == EDGE.fine_tune.passes // EDGE.batch_size
    np.testing.assert_allclose(spread["edge_losses"], [step.loss for step in alone.history], atol=0.1)
    np.testing.assert_allclose(spread["edge_weight"], alone.weight, atol=1e-3)


def test_one_device_needs_no_strategy() -> None:
    assert strategy().num_replicas_in_sync == strategy(("CPU:0",)).num_replicas_in_sync == 1


def in_float16(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={"mixed_precision": True})


def dtypes(network: keras.Model) -> set[str]:
    return {layer.compute_dtype for layer in network._flatten_layers()}


def test_precision_is_for_what_is_built_meanwhile() -> None:
    with precision(mixed=True):
        inside = keras.layers.Dense(1)
    assert (inside.compute_dtype, keras.layers.Dense(1).compute_dtype) == ("float16", "float32")


def test_the_study_network_learns_in_float16_as_in_float32_once_its_gradients_fit(
    parts: dict[str, LabelledImages],
) -> None:
    """Second batches overflow until the scale of the loss has been halved often enough; these steps are left out."""
    slow = Recipe.model_validate({**RECIPE, "optimizer": {"learning_rate": 1e-8}, "epochs": 9})
    exact, mixed = fit(slow, parts["train"], 1), fit(in_float16(slow), parts["train"], 1)
    expected, losses = ([step.loss for step in each.history] for each in (exact, mixed))
    begun = next(step for step in range(3, len(losses), 2) if losses[step] < losses[1] - 0.1)
    assert 3 < begun < len(losses) - 4
    np.testing.assert_allclose(losses[begun:], expected[3 : 3 + len(losses) - begun], atol=0.02)
    assert dtypes(mixed.network) == {"float32"}


@pytest.mark.timeout(900)
def test_fine_tuning_in_float16_predicts_in_float32(parts: dict[str, LabelledImages]) -> None:
    section = EDGE.fine_tune.model_copy(update={"frozen_blocks": 12})
    trained = train_network(in_float16(EDGE).model_copy(update={"fine_tune": section}), parts, 1)
    assert dtypes(trained.predictor.network) == {"float32"}
    assert np.isfinite(predict(trained.predictor, parts["test"].images).logits).all()
    assert np.isfinite([step.loss for step in trained.history]).all()
