from __future__ import annotations

import keras
import numpy as np

from train.fitting.from_scratch import study_network
from train.networks.predictor import Predictor, predict
from train.networks.study_cnn import build, folded, sgdm
from train.recipe import OptimizerSection, StudyNetwork, find_recipe, load_recipe

STUDY = load_recipe(find_recipe("study"))


def test_the_study_network_has_the_studys_size() -> None:
    network = build(study_network(STUDY), STUDY.optimizer)
    assert network.count_params() == 123_650
    multiply_adds = 0
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            multiply_adds += int(np.prod(layer.output.shape[1:])) * int(np.prod(layer.kernel.shape[:3]))
        if isinstance(layer, keras.layers.Dense):
            multiply_adds += int(np.prod(layer.kernel.shape))
    assert round(multiply_adds / 1e6, 1) == 122.9


def test_the_network_of_the_box_is_the_same_function() -> None:
    keras.utils.set_random_seed(0)
    network = build(study_network(STUDY), STUDY.optimizer)
    network.layers[2].bias.assign(np.linspace(-5, 5, 16))
    images = np.random.default_rng(0).integers(0, 256, (3, 224, 224)).astype(np.uint8)
    plain = folded(network, study_network(STUDY), STUDY.optimizer)
    assert not any(isinstance(layer, keras.layers.Rescaling) for layer in plain.layers)
    before, after = (predict(Predictor(network=each, mean=117.0), images).logits for each in (network, plain))
    np.testing.assert_allclose(after, before, atol=1e-3)


def test_one_step_is_matlabs_sgdm_with_its_weight_decay() -> None:
    optimizer = OptimizerSection(learning_rate=0.01, momentum=0.9, l2=0.5)
    keras.utils.set_random_seed(0)
    network = build(StudyNetwork(architecture="study_cnn", filters=(2,)), optimizer, shape=(8, 8, 1))
    network.compile(optimizer=sgdm(optimizer), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = [w.copy() for w in network.get_weights()]
    # A grey image of zeros leaves only the dense bias a gradient: what moves the kernels is the decay alone.
    image, label = np.zeros((1, 8, 8, 1), np.float32), np.array([1])
    network.train_on_batch(image, label)
    after = network.get_weights()
    np.testing.assert_allclose(after[0], before[0] * (1 - 0.01 * 0.5), rtol=1e-5)
    np.testing.assert_allclose(after[2], before[2] * (1 - 0.01 * 0.5), rtol=1e-5)
    np.testing.assert_allclose(after[3], [-0.005, 0.005], rtol=1e-5)
    network.train_on_batch(image, label)
    twice = network.get_weights()[0]
    np.testing.assert_allclose(twice - after[0], 0.9 * (after[0] - before[0]) - 0.01 * 0.5 * after[0], rtol=1e-3)
